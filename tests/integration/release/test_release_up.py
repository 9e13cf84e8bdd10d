"""`intently-release up`: what it starts, what it says, and that nothing that serves ends because it watches."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from intently_release.layout import Layout
from intently_release.release.packaged import revision_of
from intently_release.state import Seen, State, Store, read_observed, supervisor_of
from support.bundles import changed, copy_bundle
from support.paths import BUNDLE
from support.release_stack import COMMAND, Stack, finished, prepared, wait_serving
from support.serving import free_addresses
from support.token_file import TokenFile

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

FAST = ("--step-ms", "2", "--batch", "64")
BRIEF: dict[str, Any] = {"servers": {"drain_delay": 0.1}, "traffic": {"health": {"interval": 0.05}}}  # nobody calls
_WITHIN_S = 40.0


@pytest.fixture
def down() -> Iterator[Stack]:
    """A stack that never ran."""
    with prepared(*FAST, **BRIEF) as made:
        yield made


@pytest.fixture
def served(down: Stack) -> Stack:
    """A stack that ran its first bundle, whose supervisor was killed; all else goes on."""
    killed(up(down, "--bundle", str(down.bundle("first"))))
    return down


def up(made: Stack, *arguments: str) -> "subprocess.Popen[str]":
    """Starts it and waits until calls are answered."""
    process = made.start("up", *arguments)
    wait_serving(process, made)
    return process


def killed(process: "subprocess.Popen[str]") -> None:
    """Kills it and waits for its end."""
    process.kill()
    process.communicate()


def ended(process: "subprocess.Popen[str]") -> str:
    """Tells it to end, waits for that, and returns its log."""
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    return log


def seen(made: Stack, name: str) -> Seen:
    """What the supervisor tells of a process."""
    return read_observed(Layout(made.run_dir)).get(name, Seen())


def kill_server(made: Stack) -> None:
    """Kills blue's."""
    pid = seen(made, "blue-0").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def wait(process: "subprocess.Popen[str]", until: Callable[[], bool]) -> None:
    """Waits until that is so."""
    give_up = time.monotonic() + _WITHIN_S
    while not until():
        if time.monotonic() > give_up or process.poll() is not None:
            process.kill()
            raise AssertionError(process.communicate())
        time.sleep(0.02)


def state(made: Stack) -> State:
    """What is wanted."""
    found = Store(Layout(made.run_dir)).read()
    assert found is not None
    return found


def address_of_blue(made: Stack) -> str:
    """Of the server of blue."""
    address: str = made.document()["colors"]["blue"]["endpoints"][0]
    return address


def ill_at(made: Stack, address: str) -> Path:
    """Makes servers on this address end as soon as they start, while the file that is returned is there."""
    switch, script = made.folder / "ill", made.folder / "server"
    switch.touch()
    script.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"if {address!r} in sys.argv and os.path.exists({str(switch)!r}): sys.exit(7)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'support.in_memory_process', *sys.argv[1:]])\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    change(made, servers={"command": [str(script), *FAST], "backoff_first": 0.1, "backoff_most": 0.2})
    return switch


def change(made: Stack, **parts: dict[str, object]) -> None:
    """Changes release.yaml."""
    document = made.document()
    for part, values in parts.items():
        document[part] = {**document.get(part, {}), **values}
    made.write(document)


def endpoints(made: Stack, color: str, count: int) -> list[str]:
    """Gives a color so many servers; returns their addresses."""
    addresses = free_addresses(count)
    change(made, colors={color: {"endpoints": addresses}})
    return addresses


def test_a_server_that_does_not_start_ends_none_of_those_that_do(down: Stack) -> None:
    _, _, third = endpoints(down, "blue", 3)
    switch = ill_at(down, third)
    process = down.start("up", "--bundle", str(down.bundle("first")))

    told = wait_serving(process, down)

    assert 0 < told["healthy"] < told["servers"] == 3  # Envoy may not have asked the second one yet
    switch.unlink()
    assert wait_serving(process, down).keys() == {"event", "address", "revision", "seconds"}
    assert "blue-2 died 3 times: exit code 7" in ended(process)


def test_what_was_adopted_goes_on_while_the_stable_color_dies(served: Stack) -> None:
    switch = ill_at(served, address_of_blue(served))
    kill_server(served)
    envoy = seen(served, "envoy").pid

    process = served.start("up")
    wait(process, lambda: seen(served, "blue-0").restarts > 4)

    assert process.poll() is None
    assert seen(served, "envoy").pid == envoy
    switch.unlink()
    wait_serving(process, served)
    assert "blue-0 died 3 times: exit code 7" in ended(process)


def test_what_was_adopted_needs_its_bundle_no_more(served: Stack) -> None:
    before = seen(served, "blue-0").pid
    shutil.rmtree(served.folder / "first")

    process = up(served, "--bundle", str(served.folder / "first"))

    assert seen(served, "blue-0").pid == before
    assert "going on with what was live" in ended(process)


def test_it_starts_again_beneath_a_command_that_holds_the_state(served: Stack) -> None:
    with Store(Layout(served.run_dir)).held("deploy"):
        process = up(served)

    ended(process)


def test_a_first_start_that_fails_leaves_the_next_one_free(down: Stack) -> None:
    bad = copy_bundle(BUNDLE, down.folder / "bad")
    (bad / "model.safetensors").write_bytes(b"")
    change(down, servers={"backoff_first": 0.1})
    failed = finished(down.start("up", "--bundle", str(bad)))

    assert failed.code == 2
    assert "blue-0 died 3 times: exit code 1" in failed.errors
    assert "blue-0.log" in failed.errors
    assert down.processes() == []

    process = up(down, "--bundle", str(down.bundle("first")))

    assert state(down).slots[state(down).stable].bundle == down.folder / "first"
    ended(process)


def test_another_bundle_than_what_is_live_is_left_to_deploy(served: Stack) -> None:
    first, second = served.folder / "first", served.bundle("second")
    ended(up(served))

    process = up(served, "--bundle", str(second))

    assert state(served).slots[state(served).stable].bundle == first
    log = ended(process)
    assert f"{first} ({revision_of(first)[:12]}) is live here and goes on" in log
    assert f"intently-release deploy {second}" in log


def test_a_bundle_that_was_built_anew_starts_where_the_old_one_is_lost(served: Stack) -> None:
    first = served.folder / "first"
    ended(up(served))
    revision = changed(first)

    process = up(served, "--bundle", str(first))

    assert state(served).slots[state(served).stable].revision == revision
    assert "which nobody has judged" in ended(process)


def test_an_overwritten_bundle_is_not_started_unasked_and_status_says_so(served: Stack) -> None:
    first = served.folder / "first"
    revision = changed(first)
    told = served.run("status").events[0]["colors"]["blue"]["bundle_problem"]
    process = served.start("up")
    wait(process, lambda: supervisor_of(Layout(served.run_dir)) is not None)
    kill_server(served)
    wait(process, lambda: seen(served, "blue-0").last_exit.startswith("not started"))
    printed = subprocess.run(
        [*COMMAND, "status", "--run-dir", str(served.run_dir)],
        capture_output=True,
        text=True,
        env=dict(served.environment),
        check=True,
    ).stdout

    assert revision[:12] in told
    assert f"blue-0: not started: {first} holds revision {revision[:12]}" in printed
    ended(process)


def test_a_port_that_is_taken_is_named_with_its_owner(down: Stack) -> None:
    host, _, port = down.address.rpartition(":")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind((host, int(port)))
        taken.listen()

        done = finished(down.start("up", "--bundle", str(down.bundle("first"))))

    assert done.code == 2
    assert f"cannot listen on {down.address} (listener.address): Address already in use, by " in done.errors
    assert f"(pid {os.getpid()})" in done.errors
    assert down.processes() == []


def test_two_stacks_do_not_share_a_port(served: Stack) -> None:
    with prepared(*FAST, listener={"address": served.address}) as other:
        done = finished(other.start("up", "--bundle", str(other.bundle("first"))))

    assert done.code == 2
    assert f"cannot listen on {served.address} (listener.address)" in done.errors


def test_an_envoy_that_dies_again_and_again_is_named(down: Stack) -> None:
    change(down, servers={"command": [sys.executable, "-c", "import time; time.sleep(3600)"], "backoff_first": 0.1})
    process = down.start("up", "--bundle", str(down.bundle("first")))
    dead: set[int] = set()
    while process.poll() is None:
        pid = seen(down, "envoy").pid
        if pid is not None and pid not in dead and psutil.pid_exists(pid):
            dead.add(pid)
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)

    done = finished(process)

    assert done.code == 2
    assert "Envoy died 3 times: killed by SIGKILL" in done.errors
    assert "envoy.log" in done.errors


def test_its_log_has_times(down: Stack) -> None:
    log = ended(up(down, "--bundle", str(down.bundle("first"))))

    for said in ("INFO envoy: started", "INFO stopping: the servers drain", "INFO stopped: nothing runs"):
        [line] = [line for line in log.splitlines() if said in line]
        time.strptime(line.partition(",")[0], "%Y-%m-%d %H:%M:%S")


@pytest.fixture
def guarded(down: Stack) -> TokenFile:
    """Tokens that the servers ask for."""
    tokens = TokenFile(down.folder / "tokens")
    tokens.write("operator")
    change(down, servers={"flags": ["--admin-address", "", "--token-file", str(tokens.path)]})
    return tokens


def test_servers_that_ask_for_a_token_get_the_operators(down: Stack, guarded: TokenFile) -> None:
    token = guarded.tokens["operator"]
    (down.folder / "operator").write_text(token + "\n")
    change(down, servers={"token_file": str(down.folder / "operator")})
    process = up(down, "--bundle", str(down.bundle("first")))

    done = down.run("deploy", str(down.bundle("second")), "--no-traffic=promote", "--fast")

    assert done.code == 0, done.errors
    log = ended(process)
    files = "".join(path.read_text(errors="replace") for path in down.run_dir.rglob("*") if path.is_file())
    assert token not in log + files + done.errors + json.dumps(done.events)


def test_without_a_token_it_says_so_at_once(down: Stack, guarded: TokenFile) -> None:
    done = finished(down.start("up", "--bundle", str(down.bundle("first"))))

    assert guarded.tokens
    assert done.code == 2
    assert "UNAUTHENTICATED" in done.errors
    assert "servers.token_file" in done.errors
