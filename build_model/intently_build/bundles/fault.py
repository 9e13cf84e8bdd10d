"""A fault of a bundle: the file, and what is wrong with it, in one line."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What `verify` says of one file.

    Attributes:
      file: relative to the bundle's folder, as it is spelled there.
      reason: what is wrong with it.
    """

    file: str
    reason: str

    def __str__(self) -> str:
        return one_line(f"{self.file}: {self.reason}")


def one_line(text: str) -> str:
    """Returns `text` with each character that a terminal would act on spelled out, so that names cannot forge lines."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
