"""Hides a library that only the tests' tools install."""

raise ImportError
