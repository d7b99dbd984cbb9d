"""The commands by theme, and how they end."""

FAILED = 1
WRONG_USAGE = 2
