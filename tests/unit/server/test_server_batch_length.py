"""Counting a batch's requests on the wire: far too many are refused, and whatever comes is read to an end."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.v1 import intent_service_pb2 as pb
from intently_server.errors import InvalidInput
from intently_server.servicer.batch_length import check_length

LARGE = 70_000
PADDING = pb.ClassifyRequest(text="x" * LARGE)


def batch(requests: int) -> bytes:
    """A batch of so many, large enough to be looked at."""
    return pb.BatchClassifyRequest(
        requests=[PADDING, *[pb.ClassifyRequest(text="a")] * (requests - 1)]
    ).SerializeToString()


@pytest.mark.parametrize("limit", [1, 2, 256])
def test_as_many_as_a_batch_takes_are_accepted(limit: int) -> None:
    check_length(batch(limit), limit)


@pytest.mark.parametrize("data", [b"\x0a\x00" * 1_000_000, batch(1_000), b"\x50\x01" * LARGE, b"\x53\x0a\x00" * LARGE])
def test_far_too_many_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_length(data, 256)

    assert [violation.field for violation in refused.value.violations] == ["requests"]


@given(data=st.binary(max_size=200), limit=st.integers(1, 300))
def test_any_bytes_are_read_to_an_end(data: bytes, limit: int) -> None:
    with contextlib.suppress(InvalidInput):
        check_length(data + batch(1), limit)
