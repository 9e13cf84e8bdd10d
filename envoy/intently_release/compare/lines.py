"""The lines of a file or of standard input, as they come. A thread reads them: a line may never come."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from typing import BinaryIO

from intently_release.compare.utterances import MOST_BYTES

_AHEAD = 256  # lines that were read and not yet taken


async def lines_of(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Each line, with its end, of any length: of one that is too long for an utterance, the beginning.

    The thread is a daemon, which a line that never comes does not keep from ending with the program. The file stays
    open, and belongs to the thread until the last line has come.

    Raises:
        OSError: if it cannot be read.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError | None] = asyncio.Queue()
    room, over = threading.Semaphore(_AHEAD), threading.Event()

    def read() -> None:
        with contextlib.suppress(RuntimeError, ValueError):  # the loop has ended, or the file is closed: none is wanted
            try:
                while not over.is_set() and (line := _line(file)):
                    room.acquire()
                    loop.call_soon_threadsafe(queue.put_nowait, line)
                loop.call_soon_threadsafe(queue.put_nowait, None)
            except OSError as error:
                loop.call_soon_threadsafe(queue.put_nowait, error)

    threading.Thread(target=read, name="utterances", daemon=True).start()
    try:
        while (line := await queue.get()) is not None:
            if isinstance(line, OSError):
                raise line
            room.release()
            yield line
    finally:
        over.set()
        room.release()


def _line(file: BinaryIO) -> bytes:
    """The next line; empty at the end. What is over the greatest length is read and dropped."""
    line = file.readline(MOST_BYTES + 1)
    rest = line
    while len(rest) > MOST_BYTES and not rest.endswith(b"\n"):
        rest = file.readline(MOST_BYTES + 1)
    return line
