"""The words of the domain and its rules of time, as pure values and functions.

Nothing here reads a file, a clock or a network: *now* is a parameter.
"""
