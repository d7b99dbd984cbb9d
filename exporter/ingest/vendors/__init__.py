"""The adapters that parse each vendor's bodies, one module per vendor. They do no I/O and read no clock."""
