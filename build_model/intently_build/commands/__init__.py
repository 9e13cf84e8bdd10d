"""The commands of `intently-build`, a module each: its arguments, and what runs it."""
