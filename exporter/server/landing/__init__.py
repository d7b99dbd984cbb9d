"""Looks for the files of exports in object stores, in the background."""
