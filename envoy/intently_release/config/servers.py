"""The servers behind the two colors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from intently_release.colors import Color
from intently_release.config.base import Address, Frozen, Seconds

_FLAGS = "--front-end"  # begins flags that tell a server how many front ends it has, and where
_VARIABLES = "INTENTLY_FRONT_END"  # likewise environment variables, in capitals or not
Words = TypeVar("Words", bound=Iterable[str])


def is_of_front_ends(variable: str) -> bool:
    """Whether an environment variable of that name tells a server of front ends."""
    return variable.upper().startswith(_VARIABLES)


def _nothing_of_front_ends(words: Words) -> Words:
    if found := [each for each in words if each.startswith(_FLAGS) or is_of_front_ends(each)]:
        raise ValueError(f"{found[0]}: Envoy has to know of front ends too; servers.front_ends tells both")
    return words


Flags = Annotated[tuple[str, ...], AfterValidator(_nothing_of_front_ends)]
Env = Annotated[dict[str, str], AfterValidator(_nothing_of_front_ends)]


class ColorServers(Frozen):
    """Where a color's servers listen.

    Attributes:
        endpoints: Their addresses. `up` starts one server on each that is on this host's loopback.
        discovery: "static" takes the addresses as they are, "dns" asks for all addresses behind each name, again and
            again: many replicas behind one name.
        env: Environment variables of its servers, over those of `servers.env`: CUDA_VISIBLE_DEVICES gives each color
            GPUs of its own.
        front_ends: Of each of its servers, where that is not `servers.front_ends`.
    """

    endpoints: tuple[Address, ...] = Field(min_length=1)
    discovery: Literal["static", "dns"] = "static"
    env: Env = Field(default_factory=dict)
    front_ends: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _each_is_another(self) -> Self:
        if twice := sorted({each for each in self.endpoints if self.endpoints.count(each) > 1}):
            raise ValueError(f"endpoints has {', '.join(twice)} twice: one server cannot be two")
        return self


class Colors(Frozen):
    """Both colors."""

    blue: ColorServers = ColorServers(endpoints=("127.0.0.1:50061",))
    green: ColorServers = ColorServers(endpoints=("127.0.0.1:50062",))

    def of(self, color: Color) -> ColorServers:
        """One of them."""
        return self.blue if color is Color.BLUE else self.green

    @model_validator(mode="after")
    def _no_endpoint_is_shared(self) -> Self:
        if shared := set(self.blue.endpoints) & set(self.green.endpoints):
            raise ValueError(f"both colors have {', '.join(sorted(shared))}")
        return self


class Servers(Frozen):
    """How `up` runs a server.

    Attributes:
        command: Starts one; `up` adds what a server must agree on with Envoy (bundle, address, front ends, max_wait,
            max_concurrent_streams, drain times).
        flags: Added to it as they are.
        env: Environment variables, over those of `up` itself.
        front_ends: Processes of each server that answer calls. With more than one, each also listens by itself on one
            of so many ports after the endpoint's, and Envoy calls it there.
        token_file: Holds a token that the servers know, as it is sent, for the operator's own calls to servers that ask
            for one; None if they do not.
        max_wait: Seconds in which an admitted request is answered. Below traffic.per_try_timeout, or retries would
            multiply an overload.
        max_concurrent_streams: Of one connection; no less than traffic.max_concurrent_streams.
        drain_delay: Seconds in which a server that is leaving still takes calls; longer than Envoy needs to notice.
        drain_timeout: Seconds in which it finishes what is in flight.
        start_timeout: Seconds until it must be SERVING.
        backoff_first, backoff_most: Seconds before a server that died is started again, doubled with each death.
    """

    command: tuple[str, ...] = Field(("intently-server",), min_length=1)
    flags: Flags = ()
    env: Env = Field(default_factory=dict)
    front_ends: int = Field(1, gt=0)
    token_file: Path | None = None
    max_wait: Seconds = 0.8
    max_concurrent_streams: int = Field(1000, gt=0)
    drain_delay: Seconds = 2.0
    drain_timeout: Seconds = 30.0
    start_timeout: Seconds = 600.0
    backoff_first: Seconds = 0.5
    backoff_most: Seconds = 30.0
