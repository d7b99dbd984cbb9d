"""Turns the bytes of an authenticated request into entries of the ledger.

`vendors` parses what one vendor sends; everything else here is the same for every vendor.
"""
