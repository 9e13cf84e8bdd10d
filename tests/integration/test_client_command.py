"""The command intently as a program: lines in, results out, its exit codes, and how it is secured."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from intently_server.bundle import Bundle
from intently_server.types import Role, Turn
from support.in_memory import InMemory, StartInMemory
from support.serving import free_address

INTENTLY = Path(sys.executable).parent / "intently"
pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class Ran:
    """What a finished command left."""

    code: int
    out: str
    err: str


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """Starts the command, with all its streams open."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(INTENTLY, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)


async def run(arguments: Sequence[str], lines: str = "") -> Ran:
    """Runs the command to its end."""
    process = await start(*arguments)
    out, err = await process.communicate(lines.encode())
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def test_each_line_gets_a_line(server: InMemory) -> None:
    ran = await run(["stream", "--address", server.served.address], "wake me at seven\n\nplay some jazz\n")

    assert (ran.code, ran.err) == (0, "")
    assert sorted(line.split()[0] for line in ran.out.splitlines()) == ["1", "3"]
    assert all("%" in line for line in ran.out.splitlines())


async def test_json_lines_hold_whole_responses(server: InMemory, bundle: Bundle) -> None:
    ran = await run(["stream", "--json", "--top-k", "2", "--address", server.served.address], "one\ntwo\n")

    answers = {each["request_id"]: each["response"] for each in map(json.loads, ran.out.splitlines())}
    assert set(answers) == {"1", "2"}
    assert all(answer["model"]["revision"] == bundle.model.revision for answer in answers.values())


async def test_order_is_kept_on_request(server: InMemory) -> None:
    lines = "".join(f"text {number}\n" for number in range(200))
    arguments = ["stream", "--ordered", "--max-in-flight", "7", "--address", server.served.address]
    ran = await run(arguments, lines)

    assert [int(line.split()[0]) for line in ran.out.splitlines()] == list(range(1, 201))


async def test_lines_are_context_to_those_after_them_on_request(server: InMemory, bundle: Bundle) -> None:
    ran = await run(["stream", "--accumulate-context", "--address", server.served.address], "one\ntwo\n")

    assert ran.code == 0
    said = bundle.encoder.encode("two", [Turn(Role.USER, "one")]).token_ids
    assert server.engine.prompts[-1] == tuple(said)


async def test_a_line_that_fails_is_said_and_costs_the_exit_code(server: InMemory) -> None:
    long_line = "word " * 3000
    ran = await run(["stream", "--ordered", "--address", server.served.address], f"fine\n{long_line}\nfine\n")

    assert ran.code == 1
    first, second, third = ran.out.splitlines()
    assert second.split()[:2] == ["2", "INVALID_ARGUMENT:"]
    assert "word word" not in second
    assert "%" in first
    assert "%" in third

    ran = await run(["stream", "--json", "--address", server.served.address], f"{long_line}\n")
    [failed] = map(json.loads, ran.out.splitlines())
    assert (failed["request_id"], failed["error"]["reason"]) == ("1", "INVALID_INPUT")


async def test_results_come_while_input_goes_on_and_an_interrupt_ends_it(server: InMemory) -> None:
    process = await start("stream", "--address", server.served.address)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    assert (await process.stdout.readline()).split()[0] == b"1"

    process.send_signal(signal.SIGINT)
    code = await process.wait()
    assert process.stderr is not None
    said = await process.stderr.read()

    assert (code, said) == (130, b"")


async def test_a_reader_that_goes_away_ends_it(server: InMemory) -> None:
    command = f"yes hello | {INTENTLY} stream --address {server.served.address} | head -n 2"
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()

    assert len(out.splitlines()) == 2
    assert err == b""


async def test_nobody_there_is_said_soon() -> None:
    address = free_address()
    ran = await run(["stream", "--address", address], "hello\n")

    assert ran.code == 1
    assert f"no server answers at {address}" in ran.err
    assert ran.err.count("\n") == 1


async def test_a_token_is_read_from_a_file_and_sent_nowhere_else(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("bearer-of-the-test\n", encoding="utf-8")
    ran = await run(["classify", "hello", "--address", "intents.example:443", "--token-file", str(token)])

    assert ran.code == 2
    assert "TLS" in ran.err
    assert "bearer-of-the-test" not in ran.err

    ran = await run(["classify", "hello", "--token-file", str(tmp_path / "none")])
    assert ran.code == 2
    assert "none" in ran.err


async def test_the_load_generator_is_there(start_in_memory: StartInMemory) -> None:
    ran = await run(["bench", "--help"])

    assert ran.code == 0
    assert "--rate" in ran.out
