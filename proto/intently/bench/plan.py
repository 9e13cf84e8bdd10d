"""What a run does, as data that travels to each process; and the part of it that one process does."""

import dataclasses
import enum
import json
from dataclasses import dataclass
from pathlib import Path

import grpc

from intently.answers import Priority
from intently.bench.targets.target import Target
from intently.channel import Security
from intently.client import PRIORITY_METADATA


class Shape(enum.Enum):
    """What is sent."""

    UNARY = "unary"
    BATCH = "batch"
    STREAM = "stream"


class Arrivals(enum.Enum):
    """How sends are spread over time in the open loop."""

    POISSON = "poisson"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a process finds what proves who it is; see `intently.channel.Security`. The files are read by each process.

    Attributes:
        tls: Whether the connection is encrypted.
        ca: File of certificate authorities, PEM.
        certificate: File of the caller's certificate chain, PEM.
        key: File of its private key, PEM.
        token: File of a bearer token.
        server_name: The name that the server's certificate must have.
    """

    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token: str | None = None
    server_name: str | None = None

    def load(self) -> Security:
        """Reads the files.

        Raises:
            OSError: if one cannot be read.
            ValueError: if they do not fit together.
        """
        files = {name: getattr(self, name) for name in ("ca", "certificate", "key", "token")}
        paths = {name: None if file is None else Path(file) for name, file in files.items()}
        return Security.from_files(tls=self.tls, server_name=self.server_name, **paths)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, over all its processes.

    Attributes:
        address: Of what is measured; see `Target.parse`.
        shape: What is sent.
        rate: Sends a second in the open loop, a batch being one send; None for the closed loop.
        arrivals: How the open loop spreads them.
        concurrency: Closed loop: calls under way at once, or items in flight on each stream.
        streams: Streams, where the shape is STREAM.
        batch_size: Utterances of a batch, where the shape is BATCH.
        raw_streams: Streams by the contract alone, without the client library: a stream that ends stays ended.
        ordered: Whether streams answer in order.
        retry: Whether unary calls that find nobody are retried, as the client library does it.
        connections: TCP connections of each process.
        max_outstanding: Open loop: sends of one process that may be unanswered at once.
        processes: Processes that generate load.
        warm_up_s: Seconds before anything is recorded.
        duration_s: Seconds that are recorded; None for as long as `requests` takes.
        requests: Sends that are recorded; None for as many as the duration holds.
        timeout_s: Deadline of each call; of an item of a stream, how long its answer is waited for at the end.
        wait_s: How long to wait for a server to connect to.
        priority: Of each call; None leaves it to the server.
        metadata: Sent with each call; with streams, only with raw ones.
        credentials: How a process proves who it is.
        seed: Of the arrivals and of the order of utterances.
        utterances: What is said.
        token_ids: The whole prompts of the utterances in token ids, for targets that take them; empty if not known.
        frame: HTTP: what stands before and after each utterance.
        model: HTTP: the model's name; None leaves it to the server.
    """

    address: str
    utterances: tuple[str, ...] = dataclasses.field(repr=False)
    shape: Shape = Shape.UNARY
    rate: float | None = None
    arrivals: Arrivals = Arrivals.POISSON
    concurrency: int = 8
    streams: int = 1
    batch_size: int = 16
    raw_streams: bool = False
    ordered: bool = False
    retry: bool = False
    connections: int = 1
    max_outstanding: int = 4096
    processes: int = 1
    warm_up_s: float = 0.0
    duration_s: float | None = 10.0
    requests: int | None = None
    timeout_s: float = 10.0
    wait_s: float = 5.0
    priority: Priority | None = None
    metadata: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    credentials: Credentials = Credentials()
    seed: int = 0
    token_ids: tuple[tuple[int, ...], ...] = dataclasses.field(default=(), repr=False)
    frame: tuple[str, str] = dataclasses.field(default=("", ""), repr=False)
    model: str | None = None

    @property
    def target(self) -> Target:
        """Where load goes."""
        return Target.parse(self.address)

    def to_json(self) -> str:
        """One line, for a process to read. It holds the utterances and the metadata: never log it."""
        return json.dumps(dataclasses.asdict(self), default=lambda value: value.value)

    @classmethod
    def from_json(cls, line: str | bytes) -> "Plan":
        """The plan that `to_json` wrote."""
        fields = json.loads(line)
        return cls(
            **{
                **fields,
                "utterances": tuple(fields["utterances"]),
                "metadata": tuple((key, value) for key, value in fields["metadata"]),
                "shape": Shape(fields["shape"]),
                "arrivals": Arrivals(fields["arrivals"]),
                "priority": None if fields["priority"] is None else Priority(fields["priority"]),
                "credentials": Credentials(**fields["credentials"]),
                "token_ids": tuple(tuple(ids) for ids in fields["token_ids"]),
                "frame": tuple(fields["frame"]),
            }
        )

    def call_metadata(self) -> grpc.aio.Metadata:
        """What is sent with each call: the plan's own, the priority, and the token, which is read from its file."""
        priority = () if self.priority is None else ((PRIORITY_METADATA, self.priority.value),)
        return grpc.aio.Metadata(*self.metadata, *priority, *self.credentials.load().metadata)

    def share(self, index: int) -> "Share":
        """What process `index` of `processes` does."""
        return Share(
            index=index,
            concurrency=self.concurrency
            if self.shape is Shape.STREAM
            else part(self.concurrency, self.processes, index),
            streams=part(self.streams, self.processes, index),
            requests=None if self.requests is None else part(self.requests, self.processes, index),
        )


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of a plan: its number, and how much of what is counted it does."""

    index: int
    concurrency: int
    streams: int
    requests: int | None


def part(total: int, parts: int, index: int) -> int:
    """The size of part `index` when `total` things are dealt out in turn to `parts`."""
    return total // parts + (index < total % parts)
