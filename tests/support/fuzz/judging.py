"""Which endings a server is to blame for."""

import re
from collections.abc import Iterable

from support.fuzz.case import Case
from support.fuzz.sender import NO_END, WROTE_TOO_LATE, Ending

NEVER = {"INTERNAL", "UNKNOWN"}
# What gRPC's core says on a connection of our own making, before any of the server's code hears of the call: of
# messages that are not compressed as they claim (its specification asks for INTERNAL), and of headers that are none
# (INTERNAL, and UNKNOWN where HTTP/2's own are missing, or others than a call has).
_OF_THE_CORE = re.compile(
    r"Compression bit set but no encoding configured|Decompression failed due to .*"
    r"|Failed parsing HTTP/2 \(.*\)|Error parsing .*metadata.*|Failed base64 decoding metadata"
    r"|Duplicate '.*' header received|Illegal header (key|value).*|Metadata keys cannot be .*"
    r"|(Bad|Missing) :?[a-z]+ header",
    re.DOTALL,
)
_CHANGING = re.compile(r"[0-9a-f]*\d[0-9a-f]*|'.*?'")


def is_of_the_core(case: Case, ending: Ending) -> bool:
    """Whether gRPC's core said so, of bytes that are no gRPC: it never gets as far as the server's code."""
    return not case.path and ending.what in NEVER and _OF_THE_CORE.fullmatch(ending.details) is not None


def is_of_the_client(case: Case, ending: Ending) -> bool:
    """Whether grpc.aio said so to its own caller."""
    return bool(case.path) and ending.details == WROTE_TOO_LATE


def faults_in(case: Case, endings: Iterable[Ending]) -> list[str]:
    """What should never have come back."""
    bad = {*NEVER, NO_END, "NO HTTP/2"}
    return [
        f"{case.kind.value} {case.path}: {each.what} {each.details}"
        for each in endings
        if (each.what in bad or each.what.startswith("FUZZ FAILED"))
        and not is_of_the_core(case, each)
        and not is_of_the_client(case, each)
    ]


def kind_of(fault: str) -> str:
    """What faults of the same origin have in common: what they say, but for numbers and what is quoted."""
    return _CHANGING.sub("…", fault)
