"""Golden requests to a color: what is said of answers that are not the bundle's own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_release.colors import Color
from intently_release.release.golden import check_golden
from intently_release.release.packaged import read_packaged
from intently_release.xds.names import INTENT_SERVICE
from support.paths import BUNDLE

PACKAGED = read_packaged(BUNDLE)
VECTORS = PACKAGED.manifest.golden_vectors
INTENTS = [intent.name for intent in PACKAGED.manifest.label_set.intents]
Edit = Callable[[pb.ClassifyResponse], object]


class Answering:
    """Answers golden requests as the bundle has it, but for an edit of each answer, and keeps which color was asked."""

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self.pins: set[object] = set()

    async def classify(
        self, request: pb.ClassifyRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> pb.ClassifyResponse:
        """One golden request, by its number."""
        self.pins.add(dict(context.invocation_metadata() or ()).get("x-intently-release"))
        vector = VECTORS[int(request.request_id.removeprefix("golden-"))]
        assert (request.text, request.top_k) == (vector.text, len(INTENTS))
        answer = pb.ClassifyResponse(
            predictions=[
                pb.IntentPrediction(intent=intent, confidence=confidence)
                for intent, confidence in zip(INTENTS, vector.probabilities, strict=False)
            ]
        )
        answer.model.revision = PACKAGED.revision
        self._edit(answer)
        return answer


@asynccontextmanager
async def answering(edit: Edit) -> AsyncIterator[tuple[Answering, grpc.aio.Channel]]:
    """A server with such answers, and a channel to it."""
    server, servicer = grpc.aio.server(), Answering(edit)
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.classify, pb.ClassifyRequest.FromString, pb.ClassifyResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(INTENT_SERVICE, {"Classify": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, channel
    await server.stop(None)


def another_revision(answer: pb.ClassifyResponse) -> None:
    """Another bundle answers."""
    answer.model.revision = "e" * 64


def another_confidence(answer: pb.ClassifyResponse) -> None:
    """The last confidence is too great by more than may be."""
    answer.predictions[-1].confidence += PACKAGED.tolerance * 1.5


def no_number(answer: pb.ClassifyResponse) -> None:
    """Neither greater nor less than anything."""
    answer.predictions[0].confidence = float("nan")


def without_an_intent(answer: pb.ClassifyResponse) -> None:
    """It is not told of."""
    del answer.predictions[0]


def with_another_intent(answer: pb.ClassifyResponse) -> None:
    """As many, but not those of the bundle."""
    answer.predictions[0].intent = "nobody knows"


async def test_the_bundles_own_answers_are_good() -> None:
    async with answering(lambda _: None) as (servicer, channel):
        assert await check_golden(channel, Color.GREEN, PACKAGED) == []

    assert servicer.pins == {"green"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (another_revision, f"revision eeeeeeeeeeee answered, not {PACKAGED.revision[:12]}"),
        (another_confidence, "a confidence differs by 0.03 from the bundle's own, over 0.02"),
        (no_number, "a confidence differs by nan"),
        (without_an_intent, f"{len(INTENTS) - 1} intents came back, not {len(INTENTS)}"),
        (with_another_intent, "came back, not"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
async def test_other_answers_are_told_and_the_first_of_them_are_enough(edit: Edit, said: str) -> None:
    async with answering(edit) as (_, channel):
        problems = await check_golden(channel, Color.GREEN, PACKAGED)

    assert [problem.partition(":")[0] for problem in problems[:3]] == [f"golden request {index}" for index in range(3)]
    assert all(said in problem for problem in problems[:3])
    assert problems[3:] == [f"and {len(VECTORS) - 3} golden requests more"]


async def test_one_wrong_answer_among_good_ones_is_told() -> None:
    seen: list[pb.ClassifyResponse] = []

    def first_alone(answer: pb.ClassifyResponse) -> None:
        seen.append(answer)
        if len(seen) == 1:
            another_confidence(answer)

    async with answering(first_alone) as (_, channel):
        [problem] = await check_golden(channel, Color.BLUE, PACKAGED)

    assert "a confidence differs" in problem


async def test_the_tolerance_may_be_another() -> None:
    async with answering(another_confidence) as (_, channel):
        assert await check_golden(channel, Color.GREEN, PACKAGED, tolerance=0.1) == []


async def test_an_error_is_told_with_its_status() -> None:
    def failing(_: pb.ClassifyResponse) -> None:
        raise RuntimeError("ill")

    async with answering(failing) as (_, channel):
        problems = await check_golden(channel, Color.GREEN, PACKAGED)

    assert problems[0].startswith("golden request 0: UNKNOWN: ")
