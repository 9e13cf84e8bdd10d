"""The error of security settings, or of the files that they name, that cannot be used."""


class SecurityProblem(Exception):
    """What cannot be used, and why. The text names settings and files, and nothing that a file holds."""
