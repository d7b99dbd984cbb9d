"""The domain: events, exports and the rules of time, as pure values and functions.

Nothing here reads a file, a clock or the network; the current time is always a parameter.
"""
