"""The commands, one module for each or for a few that are closely related, and their exit codes."""

FAILED = 1
WRONG_USAGE = 2
