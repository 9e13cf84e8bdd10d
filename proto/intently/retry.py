"""Which failures of a unary call are tried again, after how long, and within which budget; and hedging."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from intently.errors import IntentlyError, OverloadedError, UnavailableError, client_closed, from_rpc_error

MAX_ATTEMPTS = 4
_MAX_CANCELLATIONS = 3  # of one call by its server
_CANCELLED_PAUSE_S = 0.05
_JITTER = 0.25  # share of the server's hint that is added at most: those who were refused together part

T = TypeVar("T")
Attempt = Callable[[float], Awaitable[T]]


class RetryBudget:
    """Bounds the calls that a client makes on top of those it was asked for.

    Args:
        tokens: Extra calls that may be made at once.
        per_answer: What each answer brings, up to `tokens`: 0.1 lets one call in ten be an extra one.
    """

    def __init__(self, tokens: float = 10.0, per_answer: float = 0.1) -> None:
        self._most = tokens
        self._tokens = tokens
        self._per_answer = per_answer

    def spend(self) -> bool:
        """Whether an extra call may be made, which is then counted."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def earn(self) -> None:
        """Counts an answer."""
        self._tokens = min(self._most, self._tokens + self._per_answer)


class Caller:
    """Makes unary calls: again after an overload if the server says when, twice at once if the first is slow.

    A call that the server's side has cancelled comes again, too: gRPC sheds calls so which nobody has begun.
    UNAVAILABLE is not its business: gRPC retries it, by the channel's service config.

    Args:
        budget: Bounds both.
        clock: Monotonic seconds.
    """

    def __init__(self, budget: RetryBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock

    async def call(self, attempt: Attempt[T], timeout_s: float, hedge_after_s: float | None = None) -> T:
        """Returns the response.

        Args:
            attempt: Makes the call, with a deadline in so many seconds.
            timeout_s: Seconds for all attempts together.
            hedge_after_s: After so many seconds without an answer a second call goes out, and the first good answer
                wins; None for never.

        Raises:
            IntentlyError: if the call fails.
        """
        give_up = self._clock() + timeout_s
        attempts = 0
        while True:
            attempts += 1
            try:
                response = await self._ask(attempt, give_up, hedge_after_s)
            except IntentlyError as told:
                pause_s = _pause_s(told, attempts)
                if pause_s is None or self._clock() + pause_s >= give_up or not self._budget.spend():
                    raise
                await asyncio.sleep(pause_s)
            else:
                self._budget.earn()
                return response

    async def _ask(self, attempt: Attempt[T], give_up: float, hedge_after_s: float | None) -> T:
        """One attempt, or two; whatever fails raises an IntentlyError."""
        try:
            return await self._hedged(attempt, give_up, hedge_after_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        except grpc.aio.UsageError:  # the channel was closed before
            raise client_closed() from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise client_closed() from None  # closing the channel cancels its calls, and not who waits for them

    async def _hedged(self, attempt: Attempt[T], give_up: float, hedge_after_s: float | None) -> T:
        if hedge_after_s is None:
            return await attempt(self._left(give_up))
        calls = [asyncio.ensure_future(attempt(self._left(give_up)))]
        try:
            await asyncio.wait(calls, timeout=hedge_after_s)
            if not calls[0].done() and self._budget.spend():
                calls.append(asyncio.ensure_future(attempt(self._left(give_up))))
            return await _first_good(calls)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _left(self, give_up: float) -> float:
        return max(0.0, give_up - self._clock())


def _pause_s(error: IntentlyError, attempts: int) -> float | None:
    """Seconds after which a call that was refused so often may come again; None where it must not."""
    if isinstance(error, UnavailableError) and error.code is grpc.StatusCode.CANCELLED:
        return _CANCELLED_PAUSE_S * attempts * (1.0 + random.random()) if attempts < _MAX_CANCELLATIONS else None
    return pause_before_retry(error) if attempts < MAX_ATTEMPTS else None


def pause_before_retry(error: IntentlyError) -> float | None:
    """Seconds after which a refused call may come again; None where it must not: the server named no time."""
    if not isinstance(error, OverloadedError) or error.retry_after_s is None:
        return None
    return error.retry_after_s * (1.0 + _JITTER * random.random())


async def _first_good(calls: "Sequence[asyncio.Future[T]]") -> T:
    """The first good answer; if there is none, the first call's error."""
    waiting = set(calls)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            if not call.cancelled() and call.exception() is None:
                return call.result()
    return calls[0].result()
