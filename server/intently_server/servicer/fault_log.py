"""Logs faults of ours, without their texts: those may quote what a user said."""

import logging
import traceback
from collections.abc import Iterator

logger = logging.getLogger(__name__)


class FaultLog:
    """Logs exceptions that nobody expected.

    Args:
        with_texts: Whether their texts are logged too, and the line is marked as having them.
    """

    def __init__(self, *, with_texts: bool) -> None:
        self._with_texts = with_texts
        if with_texts:
            logger.warning("faults are logged with their texts, which may quote what users say: --record-utterances")

    def tell(self, what: str, error: BaseException) -> None:
        """Logs that `what` failed: by the types and frames of the error and of those that led to it."""
        if self._with_texts:
            logger.error("%s failed (may contain what a user said)", what, exc_info=error)
        else:
            logger.error("%s failed: %s", what, "\n".join(_told(error, set())))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The error and its frames, then those that led to it, or that a group has; each once."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield f"{type(error).__module__}.{type(error).__qualname__}"
    yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
    others = [error.__cause__ or (None if error.__suppress_context__ else error.__context__)]
    others += error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in others:
        if other is not None:
            yield from _told(other, seen)
