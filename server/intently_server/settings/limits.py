"""Settings: what the server takes, of one caller and in all."""

from typing import Annotated

from pydantic import BaseModel, Field

from intently_server.types import Priority


class LimitSettings(BaseModel):
    """What the server takes, of one caller and in all."""

    max_message_bytes: Annotated[
        int, Field(gt=0, description="Bytes of a message; gRPC refuses a larger one with RESOURCE_EXHAUSTED.")
    ] = 2 * 1024 * 1024
    max_text_chars: Annotated[
        int, Field(gt=0, description="Characters of an utterance or a turn; the bundle may set less.")
    ] = 32_768
    max_context_turns: Annotated[int, Field(ge=0, description="Turns of context; the bundle may set less.")] = 64
    max_batch_size: Annotated[
        int,
        Field(gt=0, description="Requests in one BatchClassify; never more than may be in flight, at one front end."),
    ] = 256
    max_concurrent_streams: Annotated[
        int, Field(gt=0, description="HTTP/2 streams of one connection; no less than what a proxy in front sends.")
    ] = 1000
    max_streams: Annotated[
        int,
        Field(
            gt=0,
            description="Streams open at once; more are refused with RESOURCE_EXHAUSTED. A caller "
            "may hold as many as it leaves free for others. Watches of health count apart, to the same limit.",
        ),
    ] = 10_000
    stream_begin_timeout: Annotated[
        float, Field(gt=0, description="Seconds in which the first message of a ClassifyStream must come.")
    ] = 10.0
    max_unsent_bytes_per_caller: Annotated[
        int,
        Field(
            gt=0,
            description="Bytes of answers that one caller has not read yet; beyond it the caller's calls are refused "
            "with RESOURCE_EXHAUSTED before any work.",
        ),
    ] = 8 * 1024 * 1024
    max_unsent_bytes: Annotated[
        int,
        Field(
            gt=0,
            description="The same of all callers together. Each may hold as much as it leaves free for others.",
        ),
    ] = 256 * 1024 * 1024
    stream_max_in_flight: Annotated[int, Field(gt=0, description="Items in flight on one ClassifyStream.")] = 64
    max_priority: Annotated[
        Priority, Field(description="The highest priority that a caller may claim by the metadata x-intently-priority.")
    ] = Priority.HIGH
    default_top_k: Annotated[int, Field(gt=0, description="Predictions returned when a request does not say.")] = 5
    min_ping_interval: Annotated[
        float, Field(ge=0, description="Seconds between keepalive pings that a client may send while idle.")
    ] = 0.5
    max_unseen_calls: Annotated[
        int,
        Field(
            gt=0,
            description="Calls that have come and that no handler has begun. Beyond it gRPC ends those that come, "
            "whosever they are, with CANCELLED: a lower one keeps answers quick when more comes than one process can "
            "even refuse, and lets one caller's flood fail the calls of others.",
        ),
    ] = 10_000
    max_connections: Annotated[
        int,
        Field(
            gt=0,
            description="Connections at once; more are closed as they come. Each takes a file descriptor. Of several "
            "front ends each takes its part, however the kernel spreads them.",
        ),
    ] = 4096
    handshake_timeout: Annotated[
        float, Field(gt=0, description="Seconds in which a new connection must have begun to speak TLS and HTTP/2.")
    ] = 10.0
    keepalive_interval: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds of silence after which a caller is asked for a sign of life; without one for half as "
            "long again its connection is closed, and its calls end.",
        ),
    ] = 30.0
