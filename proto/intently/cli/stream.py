"""The command stream: lines from standard input, results as they come."""

import argparse
import asyncio
import contextlib
import io
import json
import sys
import threading
from collections.abc import AsyncIterator

from intently.answers import Classification
from intently.cli.as_json import as_dict
from intently.client import IntentClient
from intently.errors import IntentlyError
from intently.stream import ClassifyStream, ItemOptions, StreamAnswer

_FIRST_OPENING_S = 2.0  # for a server to open the stream, unless --wait gives it longer
_LINES_AHEAD = 16


async def stream(client: IntentClient, options: argparse.Namespace) -> int:
    """Classifies the lines of standard input; returns 1 if any was not answered."""
    failed = False
    async with client.stream(
        ordered=options.ordered,
        accumulate_context=options.accumulate_context,
        max_in_flight=options.max_in_flight,
        open_timeout_s=max(options.wait, _FIRST_OPENING_S),
    ) as opened:
        feeding = asyncio.create_task(_feed(opened, _item_options(options)))
        try:
            async for answer in opened:
                failed |= isinstance(answer.result, IntentlyError)
                sys.stdout.write(f"{_as_json_line(answer) if options.json else _line(answer)}\n")
                sys.stdout.flush()
            await feeding
        finally:
            feeding.cancel()
    return 1 if failed else 0


async def _feed(opened: ClassifyStream, options: ItemOptions) -> None:
    """Sends each line that is not blank under its number, as room allows."""
    try:
        number = 0
        async for line in _lines():
            number += 1
            if text := line.strip():
                await opened.send(text, request_id=str(number), **options)
    finally:
        await opened.done()


async def _lines() -> AsyncIterator[str]:
    """The lines of standard input. A thread reads them: not every kind of input can be waited for.

    It is a daemon, which a line that never comes does not keep from ending with the program.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(_LINES_AHEAD)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody wants more
            try:
                for line in sys.stdin:
                    room.acquire()
                    loop.call_soon_threadsafe(queue.put_nowait, line)
            finally:
                loop.call_soon_threadsafe(queue.put_nowait, None)

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    threading.Thread(target=read, name="standard input", daemon=True).start()
    while (line := await queue.get()) is not None:
        room.release()
        yield line


def _item_options(options: argparse.Namespace) -> ItemOptions:
    chosen = ItemOptions(candidate_intents=options.candidate, allow_truncation=options.allow_truncation)
    if options.top_k is not None:
        chosen["top_k"] = options.top_k
    if options.min_confidence is not None:
        chosen["min_confidence"] = options.min_confidence
    return chosen


def _line(answer: StreamAnswer) -> str:
    match answer.result:
        case Classification(outcome=outcome, predictions=predictions):
            best = f"  {predictions[0].confidence:7.2%}  {predictions[0].intent}" if predictions else ""
            return f"{answer.request_id:>6}  {outcome.name.replace('_', ' '):<12}{best}"
        case error:
            return f"{answer.request_id:>6}  {error.code.name}: {error}"


def _as_json_line(answer: StreamAnswer) -> str:
    match answer.result:
        case Classification(message=message):
            said: dict[str, object] = {"request_id": answer.request_id, "response": as_dict(message)}
        case error:
            fault = {"code": error.code.name, "reason": error.reason, "message": str(error)}
            said = {"request_id": answer.request_id, "error": fault}
    return json.dumps(said, ensure_ascii=False)
