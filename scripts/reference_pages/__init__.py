"""The text of each page of the reference, from the code and from notes beside it."""
