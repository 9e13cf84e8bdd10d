"""`vllm serve` over HTTP: its /classify, by text or by token ids, with connections as many as are needed."""

import asyncio
import itertools
import json
import random
import resource
import ssl
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import grpc

from intently.bench.plan import Plan, Shape, Share
from intently.bench.tally import OK, Answer
from intently.bench.targets.traffic import LOOK_INTO_EVERY, ONE_OK, failed
from intently.errors import IntentlyError

PATH = "/classify"
_DISTINCT_BATCHES = 64
_IDLE_S = 4.0  # uvicorn closes a connection after 5 s without a request: what is sent just then would be lost
_POLL_S = 0.1

_Input = str | tuple[int, ...]


class HttpClassify:
    """Calls of /classify. An utterance of a batch is one of the inputs of a request.

    What is sent is made beforehand: the whole prompt's token ids where the plan has them, otherwise the text in its
    frame.
    """

    def __init__(self, plan: Plan, share: Share) -> None:
        self._plan = plan
        self._url = plan.target.address.rstrip("/")
        if not self._url.endswith(PATH):
            self._url += PATH
        self._whole = plan.batch_size if plan.shape is Shape.BATCH else 1
        chosen = random.Random(plan.seed + share.index)
        inputs: list[_Input] = [*plan.token_ids] or [text.join(plan.frame) for text in plan.utterances]
        chosen.shuffle(inputs)
        self._bodies = itertools.cycle(_bodies(plan, inputs))
        self._answers = 0
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """See `Traffic`. Asks once, and looks into the answer: a server that loads its model is waited for."""
        _raise_limit_of_files()
        headers = {"content-type": "application/json", **{key: str(value) for key, value in self._plan.call_metadata()}}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S, ssl=_tls_of(self._plan)),
            timeout=aiohttp.ClientTimeout(total=self._plan.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )
        try:
            await self._wait_until_it_answers(self._session)
        except BaseException:
            await self.close()
            raise

    async def call(self, number: int) -> Answer:  # noqa: ARG002  # connections are taken as they come free
        """See `Traffic`."""
        assert self._session is not None  # noqa: S101  # it is open
        try:
            async with self._session.post(self._url, data=next(self._bodies)) as response:
                body = await response.read()
        except TimeoutError:
            return failed("DEADLINE_EXCEEDED", utterances=self._whole)
        except (aiohttp.ClientError, OSError):
            return failed("UNAVAILABLE", utterances=self._whole)
        if response.status != 200:
            return failed(f"HTTP_{response.status}", utterances=self._whole)
        self._answers += 1
        if (self._whole > 1 or self._answers % LOOK_INTO_EVERY == 0) and not _is_answer(body, self._whole):
            return failed("UNDECODABLE", utterances=self._whole)
        return ONE_OK if self._whole == 1 else Answer(ok=True, items=(((OK, ""), self._whole),))

    def settle(self) -> tuple[int, int]:
        """See `Traffic`."""
        return 0, 0

    async def close(self) -> None:
        """See `Traffic`."""
        if self._session is not None:
            await self._session.close()

    async def _wait_until_it_answers(self, session: aiohttp.ClientSession) -> None:
        until = time.monotonic() + self._plan.wait_s
        while not await self._answers_well(session):
            if time.monotonic() > until:
                raise TimeoutError
            await asyncio.sleep(_POLL_S)

    async def _answers_well(self, session: aiohttp.ClientSession) -> bool:
        """Whether the server is there and answers; raises if it refuses."""
        try:
            async with session.post(self._url, data=next(self._bodies)) as response:
                body = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False
        if response.status == 503:
            return False
        if response.status != 200:
            code = grpc.StatusCode.UNAUTHENTICATED if response.status == 401 else grpc.StatusCode.FAILED_PRECONDITION
            raise IntentlyError(code, f"HTTP status {response.status} to {PATH}")
        if not _is_answer(body, self._whole):
            raise IntentlyError(grpc.StatusCode.FAILED_PRECONDITION, f"what answers to {PATH} is no classification")
        return True


def _raise_limit_of_files() -> None:
    """Lets this process have as many connections as it may: each call under way needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bodies(plan: Plan, inputs: list[_Input]) -> Iterator[bytes]:
    model = {} if plan.model is None else {"model": plan.model}
    if plan.shape is not Shape.BATCH:
        return iter([json.dumps({**model, "input": each}).encode() for each in inputs])
    rows = itertools.cycle(inputs)
    batches = ([next(rows) for _ in range(plan.batch_size)] for _ in range(_DISTINCT_BATCHES))
    return iter([json.dumps({**model, "input": batch}).encode() for batch in batches])


def _is_answer(body: bytes, size: int) -> bool:
    """Whether it is vLLM's ClassificationResponse, with probabilities for each input."""
    try:
        data: Any = json.loads(body)["data"]
        return len(data) == size and all(len(each["probs"]) == each["num_classes"] for each in data)
    except (ValueError, KeyError, TypeError):
        return False


def _tls_of(plan: Plan) -> ssl.SSLContext | bool:
    """What an https address is verified with: the plan's authorities, and its certificate to show."""
    credentials = plan.credentials
    if credentials.ca is None and credentials.certificate is None:
        return True
    context = ssl.create_default_context(cafile=credentials.ca)
    if credentials.certificate is not None:
        context.load_cert_chain(credentials.certificate, credentials.key)
    return context
