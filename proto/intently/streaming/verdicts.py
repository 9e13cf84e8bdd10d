"""What the client itself says of items and streams."""

import grpc

from intently.errors import (
    CancelledItemError,
    DeadlineExceededError,
    IntentlyError,
    InvalidRequestError,
    ModelNotServedError,
    PermissionDeniedError,
    SupersededError,
    UnauthenticatedError,
    UnavailableError,
)

_FATAL_CODES = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE}
_FATAL = (InvalidRequestError, ModelNotServedError, UnauthenticatedError, PermissionDeniedError)


def is_fatal(error: IntentlyError) -> bool:
    """Whether opening the stream again would end the same way."""
    return isinstance(error, _FATAL) or error.code in _FATAL_CODES


def late() -> DeadlineExceededError:
    """An item's deadline has passed."""
    return DeadlineExceededError(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")


def not_taken() -> DeadlineExceededError:
    """As many answers wait for the caller as may, and it takes none."""
    said = "answers are not being taken: iterate over the stream"
    return DeadlineExceededError(grpc.StatusCode.DEADLINE_EXCEEDED, said)


def taken_back() -> CancelledItemError:
    """An item was taken back before a server had it."""
    return CancelledItemError(grpc.StatusCode.CANCELLED, "taken back by the caller", "ITEM_CANCELLED")


def superseded() -> SupersededError:
    """A newer revision came before a server had the item."""
    return SupersededError(grpc.StatusCode.ABORTED, "a newer revision of the utterance took its place", "SUPERSEDED")


def cut_off() -> UnavailableError:
    """A stream ended in order, without an answer to what was sent on it."""
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, "the stream ended before the answer")
