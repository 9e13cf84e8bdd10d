"""One front end: the whole server in a process of its own, but for the engine, the signals and the admin port."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from intently_server.app import Membership, move_streams, serve
from intently_server.bundle import Bundle, BundleError
from intently_server.drain import StopSignal
from intently_server.engine.base import Engine
from intently_server.engine.seat import Seat
from intently_server.front_ends.shared_engine import Attach, Prepare
from intently_server.front_ends.told import Told
from intently_server.front_ends.words import Event, Failed, Line, Order
from intently_server.listening import AddressError
from intently_server.logs import configure_logs
from intently_server.parts import Parts
from intently_server.security import SecurityProblem
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings

logger = logging.getLogger(__name__)

# Exit codes, for the first process alone. Python's own for an error is 1.
ORPHANED = 3
FAILED = 4
ENGINE_DIED = 5

FOLLOWED = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
"""Signals that the first process obeys, and a front end does not: they go to whole groups."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a front end is started for.

    Attributes:
        settings: Its own part.
        revision: Of the bundle, as the first process has read it.
        place: Its number among the front ends; who comes in its place has the same.
        seat: Where it sits at the engine; nobody sits there again.
        own_address: HOST:PORT where it listens beside the shared address; "" for none.
        late: Whether it comes in place of one that died: then it listens only once it can answer, so that the kernel
            gives connections to the others meanwhile.
    """

    settings: Settings
    revision: str
    place: int
    seat: Seat
    own_address: str
    late: bool


def run_front_end(task: Task, connection: Connection, prepare: Prepare, attach: Attach) -> None:
    """The process's whole life. It does what it is told over the pipe, and ends with it, whatever signals come.

    Args:
        task: What for.
        connection: Its end of the pipe.
        prepare: Called in a thread at once.
        attach: Called once the engine has started.
    """
    for number in FOLLOWED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOLLOWED)  # see `FrontEnd`; what came meanwhile is dropped
    settings = task.settings
    configure_logs(settings.log_level, settings.log_format, task.place)
    code = FAILED
    try:
        code = uvloop.run(_FrontEnd(task, connection).run(prepare, attach))
    except BundleError as error:
        connection.send(Failed(f"cannot serve bundle {settings.bundle}: {error}", unusable=True))
    except (AddressError, SecurityProblem) as error:
        connection.send(Failed(str(error), unusable=True))
    except Exception as error:
        logger.exception("front end %d failed", task.place)
        with contextlib.suppress(OSError):
            connection.send(Failed(type(error).__name__, unusable=False))
    logging.shutdown()
    os._exit(code)


class _FrontEnd:
    def __init__(self, task: Task, connection: Connection) -> None:
        self._task = task
        self._stop = StopSignal()
        self._ages = StreamAges()
        self._may = {Order.ATTACH: asyncio.Event(), Order.SERVE: asyncio.Event()}
        self._connection = connection
        self._parts: Parts | None = None

    async def run(self, prepare: Prepare, attach: Attach) -> int:
        task, seat = self._task, self._task.seat
        self._line = Line(self._connection, self._obey, self._orphaned)
        preparing = asyncio.ensure_future(asyncio.to_thread(prepare, task.settings))

        async def sit_down(settings: Settings, bundle: Bundle) -> Engine:
            await preparing
            await self._may[Order.ATTACH].wait()
            self._line.say(Event.SITS_DOWN)
            return await attach(settings, bundle, seat)

        membership = Membership(
            # The socket first: nobody else could ever listen there.
            own_addresses=[seat.own_address, *filter(None, [task.own_address])],
            revision=task.revision,
            late=task.late,
            on_parts=self._made,
            before_serving=self._ready,
        )
        code = await serve(
            task.settings,
            sit_down,
            on_ready=lambda *_: self._line.say(Event.SERVING),
            stop=self._stop,
            stream_ages=self._ages,
            membership=membership,
        )
        self._tell()
        return ENGINE_DIED if code else 0

    def _made(self, parts: Parts) -> None:
        self._parts = parts

    async def _ready(self) -> None:
        self._line.say(Event.READY)
        await self._may[Order.SERVE].wait()

    def _obey(self, order: Any) -> None:
        if order is Order.TELL:
            self._tell()
        elif order is Order.STOP:
            self._stop.set()
        elif order is Order.MOVE:
            move_streams(self._ages)
        else:
            self._may[order].set()

    def _tell(self) -> None:
        self._line.say(None if self._parts is None else Told.of(self._parts))

    def _orphaned(self) -> None:
        logger.error("the first process is gone; front end %d ends", self._task.place)
        shutil.rmtree(self._task.seat.folder, ignore_errors=True)  # as the guard does, if there is one yet
        os._exit(ORPHANED)
