"""The error that a person who runs the build can mend: its text names the thing and the remedy."""


class BuildError(Exception):
    """What the command line prints as one line, ending with exit code 2. Anything else is a fault of ours."""
