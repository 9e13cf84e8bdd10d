"""The command intently-release."""
