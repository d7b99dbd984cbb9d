"""From a file and the environment to one frozen `Config`, with its credentials, secret files and TLS."""
