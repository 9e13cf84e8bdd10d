"""One item of a stream, from its reading until its answer has been written."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from google.rpc import status_pb2

from intently.v1 import intent_service_pb2 as pb
from intently_server.errors import IntentlyError
from intently_server.servicer.status import rich_status
from intently_server.types import Stages
from intently_server.validation import MAX_REQUEST_ID_CHARS

Answer: TypeAlias = pb.ClassifyResponse | status_pb2.Status
Classify: TypeAlias = Callable[[pb.ClassifyRequest, Stages, bool], Awaitable[Answer]]


@dataclass(slots=True, eq=False)
class Item:
    """An item in flight.

    Attributes:
        request_id: As the caller gave it; need not be unique in an item that is refused for that.
        answer: Done with its answer; cancelled if the item was withdrawn.
        stages: How far it has come.
        utterance_id: Of the utterance that it is a revision of; "" for none.
        sequence: Of the revision.
        withdrawn: Why it was, if it was.
    """

    request_id: str
    answer: "asyncio.Future[Answer]"
    stages: Stages
    utterance_id: str = ""
    sequence: int = 0
    withdrawn: IntentlyError | None = None

    @classmethod
    def refused(cls, request_id: str, error: IntentlyError, stages: Stages) -> "Item":
        """An item whose answer is this error. What is too long of its id is not kept for a caller that reads slowly."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.set_result(rich_status(error))
        return cls(request_id[:MAX_REQUEST_ID_CHARS], answer, stages)

    @property
    def started(self) -> bool:
        """Whether the engine was given it."""
        return self.stages.started > 0.0

    @property
    def failed(self) -> bool:
        """Whether it is known that no response will answer it."""
        if self.withdrawn is not None or self.answer.cancelled():
            return True
        return self.answer.done() and not isinstance(self.answer.result(), pb.ClassifyResponse)

    def withdraw(self, why: IntentlyError) -> None:
        """Ends the work on it; its answer is `why`, unless there is one already."""
        if not self.answer.done():
            self.withdrawn = why
            self.answer.cancel(why)  # the cancellation carries the reason to whoever watches the work

    def message(self) -> pb.ClassifyStreamResponse:
        """What answers it, once `answer` is done."""
        if self.answer.cancelled() and self.withdrawn is not None:
            answer: Answer = rich_status(self.withdrawn)
        else:
            answer = self.answer.result()
        if isinstance(answer, pb.ClassifyResponse):
            return pb.ClassifyStreamResponse(response=answer)
        return pb.ClassifyStreamResponse(error=pb.ItemError(request_id=self.request_id, status=answer))
