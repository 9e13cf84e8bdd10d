"""The exit codes of `intently bench`."""

DONE, FAILED, USAGE, LIMITED = 0, 1, 2, 3
