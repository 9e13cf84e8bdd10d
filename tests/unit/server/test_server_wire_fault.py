"""Bytes that protobuf refuses: whatever they are, the fault is told, and text that is no UTF-8 is named."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import model_service_pb2
from intently_server.servicer.wire_fault import explain

BAD = b"\xff\xfe"
DESCRIPTOR = pb.DESCRIPTOR.message_types_by_name["ClassifyRequest"]
REQUESTS: list[Any] = [
    pb.ClassifyRequest,
    pb.BatchClassifyRequest,
    pb.ClassifyStreamRequest,
    model_service_pb2.GetModelRequest,
]


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field on the wire; number and payload are small enough for one byte each."""
    assert number < 16
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload


def string_fields(descriptor: Any, path: str = "", wrap: tuple[int, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """Every string field of a message, however deep: its path, and a message in which it alone is not UTF-8."""
    for each in descriptor.fields:
        here = f"{path}{each.name}[0]" if each.is_repeated else f"{path}{each.name}"
        if each.type == FieldDescriptor.TYPE_STRING:
            data = field(each.number, BAD)
            for number in reversed(wrap):
                data = field(number, data)
            yield here, data
        elif each.message_type is not None:
            yield from string_fields(each.message_type, f"{here}.", (*wrap, each.number))


CASES = [(kind, path, data) for kind in REQUESTS for path, data in string_fields(kind.DESCRIPTOR)]


def test_the_cases_reach_nested_fields() -> None:
    paths = {path for _, path, _ in CASES}

    assert {"text", "context[0].text", "model.revision", "candidate_intents[0]", "requests[0].context[0].text"} <= paths
    assert {"item.request.text", "config.initial_context[0].text", "config.model.label", "cancel.request_id"} <= paths


@pytest.mark.parametrize(("kind", "path", "data"), CASES, ids=[f"{kind.__name__}-{path}" for kind, path, _ in CASES])
def test_text_that_is_not_utf8_is_named(kind: Any, path: str, data: bytes) -> None:
    with pytest.raises(DecodeError):
        kind.FromString(data)

    error = explain(data, kind.DESCRIPTOR)

    assert [violation.field for violation in error.violations] == [path]


def test_the_index_of_the_element_at_fault_is_named() -> None:
    good = pb.ClassifyRequest(text="a", context=[pb.Turn(text="b"), pb.Turn(text="c")]).SerializeToString()

    error = explain(good + field(3, field(2, BAD)), DESCRIPTOR)

    assert [violation.field for violation in error.violations] == ["context[2].text"]


@given(st.binary(max_size=300), st.sampled_from(REQUESTS))
def test_any_bytes_are_explained(data: bytes, kind: Any) -> None:
    assert explain(data, kind.DESCRIPTOR).violations


@given(st.data())
def test_a_damaged_message_is_explained(data: st.DataObject) -> None:
    request = pb.ClassifyRequest(
        request_id="id", text="wake me at seven", context=[pb.Turn(role=pb.ROLE_USER, text="hello")], top_k=3
    )
    wire = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(wire[: data.draw(st.integers(0, len(wire)))])

    assert len(explain(cut, DESCRIPTOR).violations) == 1


def test_a_message_of_millions_of_fields_is_not_read_to_its_end() -> None:
    """A reading of all of it would hold the event loop for seconds. What is counted is the reading, not the time."""
    wire = CountingBytes(b"\x1a\x00" * 1_000_000 + b"\xff")

    assert [violation.field for violation in explain(wire, DESCRIPTOR).violations] == ["(message)"]
    assert wire.reads < 1_000_000


class CountingBytes(bytes):
    """Bytes that count how often one of them was read."""

    reads = 0

    def __getitem__(self, key: Any) -> Any:
        self.reads += 1
        return super().__getitem__(key)
