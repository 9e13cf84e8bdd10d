"""The bound on mirrored calls, on a whole stack whose deploy mirrors them to a canary that renames an intent."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.xds.names import PIN_HEADER
from support.bundles import read_manifest
from support.paths import BUNDLE
from support.release_stack import Stack, finished, stack
from support.swapping_bundle import SWAPPED, swapping_bundle

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

GOLDEN = read_manifest(BUNDLE).golden_vectors[0]
REQUEST = pb.ClassifyRequest(text=GOLDEN.text, context=GOLDEN.context)
OPEN = {"flags": ["--admin-address", "127.0.0.1:0"]}


@contextmanager
def calls(made: Stack) -> Iterator[None]:
    """Calls go on through Envoy, some of them pinned to either color, until the block ends."""
    over = threading.Event()

    def call() -> None:
        with grpc.insecure_channel(made.address) as channel:
            intents = IntentServiceStub(channel)
            while not over.wait(0.002):
                intents.Classify(REQUEST, timeout=10)
                intents.Classify(REQUEST, timeout=10)
                intents.Classify(REQUEST, timeout=10, metadata=((PIN_HEADER, "blue"),))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def wait_for(process: "subprocess.Popen[str]", kind: str) -> None:
    """Returns once the command has told of such an event."""
    assert process.stdout is not None
    while json.loads(line := process.stdout.readline() or "{}").get("event") != kind:
        assert line != "{}", process.communicate()[1]


def test_what_mirroring_shows_at_least() -> None:
    with stack(
        *("--step-ms", "2", "--batch", "64"),
        releasing={"dwell": 30.0, "patience": 60.0},
        traffic={"mirror_percent": 100},
        servers=OPEN,
    ) as made:
        release = made.start("deploy", str(swapping_bundle(made, "second")))
        wait_for(release, "mirroring")
        idle = made.run("compare", "--mirrored", "0.2")
        with calls(made):
            done = made.run("compare", "--mirrored", "2")
        release.terminate()
        finished(release)
        assert made.run("promote").code == 0
        assert made.run("shift", "10").code == 0
        shifted = made.run("compare", "--mirrored", "0.2")

    [report] = done.events
    assert done.code == 0, done.errors
    assert report["kind"] == "lower bound"
    assert report["both_at_least"] > 100
    assert report["differ_share_at_least"] == 1.0
    stable, canary = report["stable"], report["canary"]
    assert report["both_at_least"] <= canary["answers"] < stable["answers"]  # the pinned ones are not mirrored
    decided = {each["decision"]["intent"]: (each["stable"], each["canary"]) for each in report["decided"]}
    assert decided == {GOLDEN.intent: (stable["answers"], 0), SWAPPED[GOLDEN.intent]: (0, canary["answers"])}
    assert (idle.code, idle.events[0]["both_at_least"]) == (3, 0)
    assert shifted.code == 2
    assert "10 % of new calls" in shifted.errors


def test_servers_that_cannot_be_asked_are_named() -> None:
    with stack(releasing={"patience": 1.2}) as made:
        assert made.run("deploy", str(made.bundle("second"))).code == 3

        done = made.run("compare", "--mirrored", "0.2")

    assert done.code == 2
    assert "the admin port of blue's server is closed" in done.errors
