"""Adapters, one module a vendor: what its bodies mean. They do no I/O and know no clock."""
