"""From the bytes of an authenticated request to entries of the ledger.

`vendors` says what a body means; everything else here is the same for each of them.
"""
