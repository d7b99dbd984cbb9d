"""Reads a file and the environment into one frozen `Config`, with credentials, secret files and TLS."""
