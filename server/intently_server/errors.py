"""What can go wrong with a request, as one hierarchy that knows nothing of gRPC.

IntentlyError
├── InvalidInput          a field, or several, that the caller must mend
├── ModelNotServed        the revision or label asked for is not served here
├── ModelNotFound         no model of that resource name is served here
├── Overloaded            the server is full; says when to come back
├── Unavailable           another replica may answer
│   ├── Starting          not ready yet
│   ├── Draining          on the way down
│   └── EngineDead        the engine has died; the process is ending
├── DeadlineUnmeetable    the caller's deadline is over, or too near
├── ItemCancelled         the caller took an item of a stream back
├── Superseded            a newer revision of the utterance came before the work on this one began
├── Unauthenticated       the caller does not say who it is
│   ├── MissingToken      it sent no token
│   └── InvalidToken      it sent one that is not known here
├── PermissionDenied      the caller may not do this
│   └── IdentityNotAllowed  its certificate shows nobody who may call
└── InternalFault         a fault of ours

Each class has a stable reason in UPPER_SNAKE_CASE. `servicer/status.py` maps the classes to gRPC statuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_VIOLATIONS = 10  # all of them travel in the trailers, which gRPC bounds at 8 KiB


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a request.

    Attributes:
        field: Path of the field in the request message, such as "context[2].text".
        description: What is wrong and what would be right. Never contains an utterance.
    """

    field: str
    description: str


class IntentlyError(Exception):
    """Base of all errors that a caller may be told of. The text is sent to the caller."""

    reason: ClassVar[str] = "UNKNOWN"


class InvalidInput(IntentlyError):
    """The request is wrong, whatever the server's state.

    Args:
        violations: At least one; the first MAX_VIOLATIONS are kept.
    """

    reason = "INVALID_INPUT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations[:MAX_VIOLATIONS])
        first, more = self.violations[0], len(violations) - 1
        super().__init__(f"{first.field}: {first.description}{f' (and {more} more)' if more else ''}")

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidInput":
        """An error of one violation."""
        return cls([Violation(field, description)])


class ModelNotServed(IntentlyError):
    """The model that the request selects is not served here, and no other may answer in its place."""

    reason = "MODEL_NOT_SERVED"


class ModelNotFound(IntentlyError):
    """ModelService was asked for a resource that does not exist."""

    reason = "MODEL_NOT_FOUND"


class Overloaded(IntentlyError):
    """The server has as much in flight as it takes.

    Args:
        retry_after_s: When room is likely, in seconds from now.
    """

    reason = "OVERLOADED"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(IntentlyError):
    """This server cannot answer now; another replica may."""

    reason = "UNAVAILABLE"


class Starting(Unavailable):
    """The engine is not ready yet."""

    reason = "STARTING"


class Draining(Unavailable):
    """The server is on its way down and takes nothing new."""

    reason = "DRAINING"


class EngineDead(Unavailable):
    """The engine's process has died. The server ends."""

    reason = "ENGINE_DEAD"


class DeadlineUnmeetable(IntentlyError):
    """The caller's deadline has passed, or would before an answer is ready."""

    reason = "DEADLINE_UNMEETABLE"


class ItemCancelled(IntentlyError):
    """The caller took this item of its stream back."""

    reason = "ITEM_CANCELLED"


class Unauthenticated(IntentlyError):
    """The caller does not say who it is, in a way that this server believes."""

    reason = "UNAUTHENTICATED"


class MissingToken(Unauthenticated):
    """The caller sent no token, and needs one."""

    reason = "MISSING_TOKEN"


class InvalidToken(Unauthenticated):
    """The caller sent a token that is not known here, or none that can be read."""

    reason = "INVALID_TOKEN"


class PermissionDenied(IntentlyError):
    """The caller is known, and may not do this."""

    reason = "PERMISSION_DENIED"


class IdentityNotAllowed(PermissionDenied):
    """The caller's certificate shows no identity that may call."""

    reason = "IDENTITY_NOT_ALLOWED"


class Superseded(IntentlyError):
    """A newer revision of the same utterance took this item's place."""

    reason = "SUPERSEDED"


class InternalFault(IntentlyError):
    """A fault of the server. Its text is fixed, since details may hold what others said.

    The log alone has its type and its frames.
    """

    reason = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error; the server's log has the details")
