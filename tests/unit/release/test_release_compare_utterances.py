"""Utterances of files to replay: what is read, what is not, and that nothing of it is told."""

import io
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.v1 import intent_service_pb2 as pb
from intently_release.compare.lines import lines_of
from intently_release.compare.utterances import MOST_BYTES, Utterances


def read(*lines: bytes) -> tuple[list[tuple[int, pb.ClassifyRequest]], Utterances]:
    """Requests with their lines, and who made them."""
    utterances = Utterances()
    found = [utterances.read(number, line) for number, line in enumerate(lines, start=1)]
    return [(each.line, each.request) for each in found if each is not None], utterances


def test_plain_lines_are_utterances() -> None:
    found, utterances = read(b"wake me\n", b"\n", b'  {"text": "said so"}  \r\n', "wäre das möglich?".encode())

    assert [(line, request.text) for line, request in found] == [
        (1, "wake me"),
        (3, '{"text": "said so"}'),
        (4, "wäre das möglich?"),
    ]
    assert utterances.unusable == 0


def test_objects_have_context_and_language() -> None:
    line = {
        "text": "and tomorrow?",
        "context": [{"role": "user", "text": "weather"}, {"role": "ROLE_ASSISTANT", "text": "sunny"}],
        "language_code": "en",
        "intent": "weather",
    }
    [(_, request)], _ = read(json.dumps(line).encode())

    assert request == pb.ClassifyRequest(
        text="and tomorrow?",
        context=[pb.Turn(role=pb.ROLE_USER, text="weather"), pb.Turn(role=pb.ROLE_ASSISTANT, text="sunny")],
        language_code="en",
        top_k=1,
    )


@pytest.mark.parametrize(
    "line",
    [
        b"plain",
        b"{",
        b"[]",
        b"{}",
        b'{"text": 5}',
        b'{"text": " "}',
        b'{"text": "a", "context": 5}',
        b'{"text": "a", "context": [{"role": "nobody", "text": "b"}]}',
        b'{"text": "a", "context": [{"role": "user"}]}',
        b'{"text": "a", "context": ["b"]}',
        b'{"text": "a", "language_code": 5}',
        b'{"text": "\xff"}',
        b"[" * 100_000,
        b'{"text": "' + b"a" * MOST_BYTES + b'"}',
    ],
)
def test_what_is_no_utterance_is_counted_and_left_out(line: bytes) -> None:
    found, utterances = read(b'{"text": "first"}', line, b'{"text": "last"}')

    assert [request.text for _, request in found] == ["first", "last"]
    assert (utterances.unusable, utterances.first_unusable) == (1, (2,))


def test_only_the_first_bad_lines_are_named() -> None:
    _, utterances = read(b'{"text": "first"}', *[b"{"] * 9)

    assert (utterances.unusable, utterances.first_unusable) == (9, (2, 3, 4, 5, 6))


def test_a_byte_order_mark_is_none_of_it() -> None:
    [(_, plain)], _ = read(b"\xef\xbb\xbfwake me")
    [(_, request)], _ = read(b'\xef\xbb\xbf{"text": "wake me"}')

    assert plain.text == request.text == "wake me"


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_stop_it(lines: list[bytes]) -> None:
    found, utterances = read(*lines)

    blank = sum(not line.strip() for line in lines)
    assert len(found) + utterances.unusable + blank == len(lines)


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\ud800" not in text))
def test_any_text_comes_through_json(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    [(_, request)], _ = read(json.dumps({"text": text}).encode())

    assert request.text == text


async def test_lines_come_in_order_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "utterances"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(2000)) + b"last")

    with path.open("rb") as file:
        lines = [line async for line in lines_of(file)]

    assert lines == [*(b"%d\n" % number for number in range(2000)), b"last"]


async def test_a_line_without_an_end_takes_no_memory() -> None:
    lines = [line async for line in lines_of(io.BytesIO(b"a" * (3 * MOST_BYTES) + b"\nnext\n"))]

    assert [len(line) for line in lines] == [MOST_BYTES + 1, 5]


async def test_a_line_comes_before_the_next_one_is_there() -> None:
    readable, writable = os.pipe()
    with open(readable, "rb") as reader, open(writable, "wb") as writer:  # noqa: ASYNC230, PTH123  # descriptors
        lines = lines_of(reader)
        for said in (b"one\n", b"two\n"):
            writer.write(said)
            writer.flush()
            assert await anext(lines) == said
        writer.close()
        assert [line async for line in lines] == []


async def test_whoever_has_had_enough_lets_the_thread_go() -> None:
    lines = lines_of(io.BytesIO(b"line\n" * 10_000))
    assert await anext(lines) == b"line\n"
    await lines.aclose()

    for thread in [each for each in threading.enumerate() if each.name == "utterances"]:
        thread.join(timeout=10)
        assert not thread.is_alive()


async def test_what_cannot_be_read_is_told() -> None:
    with open("/proc/self/mem", "rb") as file, pytest.raises(OSError, match="Input/output"):  # noqa: ASYNC230, PTH123
        await anext(lines_of(file))
