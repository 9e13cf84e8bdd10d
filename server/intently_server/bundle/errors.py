"""The error of a bundle that cannot be served."""

MANIFEST = "bundle.json"


class BundleError(Exception):
    """A bundle that cannot be served.

    Args:
        file: The file at fault, relative to the bundle's folder.
        reason: What is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason
