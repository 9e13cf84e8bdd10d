"""A server with the /classify of `vllm serve` as vLLM 0.25.1 and 0.32.0 have it, without a model behind."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

LABELS = 3


@dataclass(slots=True)
class VllmClassify:
    """What it was sent, and how it answers.

    Attributes:
        url: Where it listens.
        bodies: Every request's JSON, in order.
        headers: Every request's headers.
        status: Of the next answers, by the number of the request.
        answer: Makes an answer's JSON from the number of inputs.
    """

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: Callable[[int], int] = lambda _: 200
    answer: Callable[[int], Any] = lambda inputs: response(inputs)

    @property
    def inputs(self) -> list[Any]:
        """The input of every request."""
        return [body["input"] for body in self.bodies]

    async def classify(self, request: web.Request) -> web.Response:
        """Answers one request; an error has vLLM's form too."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        status = self.status(len(self.bodies))
        if status != 200:
            error = {"message": "no", "type": "BadRequestError", "param": None, "code": status}
            return web.json_response({"error": error}, status=status)
        several = isinstance(body["input"], list) and not isinstance(body["input"][0], int)
        return web.json_response(self.answer(len(body["input"]) if several else 1))


def response(inputs: int) -> dict[str, Any]:
    """vLLM's ClassificationResponse."""
    row = {"label": "LABEL_1", "probs": [0.2, 0.5, 0.3], "num_classes": LABELS}
    return {
        "id": "classify-1",
        "object": "list",
        "created": 1,
        "model": "model",
        "data": [{"index": index, **row} for index in range(inputs)],
        "usage": {
            "prompt_tokens": inputs,
            "total_tokens": inputs,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        },
    }


@contextlib.asynccontextmanager
async def vllm_classify() -> AsyncIterator[VllmClassify]:
    """Serves on a free port until the block ends."""
    served, application = VllmClassify(), web.Application()
    application.router.add_post("/classify", served.classify)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()
