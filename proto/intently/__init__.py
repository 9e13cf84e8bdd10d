"""Intently's callers' package: the contract (`intently.v1`), an asyncio client, and a facade without asyncio.

from intently import IntentClient

async with IntentClient("127.0.0.1:50051") as client:
    answer = await client.classify("wake me at seven tomorrow")
    async with client.stream() as stream:
        answers = await asyncio.gather(*(stream.classify(text) for text in texts))
"""

from intently.answers import Classification, Outcome, Prediction, Priority, Role, Turn
from intently.channel import Security
from intently.client import IntentClient
from intently.errors import (
    CancelledItemError,
    DeadlineExceededError,
    FieldViolation,
    IntentlyError,
    InvalidRequestError,
    ModelNotServedError,
    OverloadedError,
    PermissionDeniedError,
    SupersededError,
    UnauthenticatedError,
    UnavailableError,
)
from intently.stream import ClassifyStream, StreamAnswer
from intently.sync import SyncIntentClient

__all__ = [
    "CancelledItemError",
    "Classification",
    "ClassifyStream",
    "DeadlineExceededError",
    "FieldViolation",
    "IntentClient",
    "IntentlyError",
    "InvalidRequestError",
    "ModelNotServedError",
    "Outcome",
    "OverloadedError",
    "PermissionDeniedError",
    "Prediction",
    "Priority",
    "Role",
    "Security",
    "StreamAnswer",
    "SupersededError",
    "SyncIntentClient",
    "Turn",
    "UnauthenticatedError",
    "UnavailableError",
]
