"""A caller in another language, made from the .proto files alone: Node with @grpc/grpc-js."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import google.rpc.status_pb2
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.in_memory import InMemory
from support.paths import PROTO

HERE = Path(__file__).parent
GOOGLEAPIS = Path(google.rpc.status_pb2.__file__).parents[2]


@pytest.fixture(scope="session")
def node() -> str:
    """The node command, with the caller's packages installed from the lock file, once for each state of it."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not installed: the caller in another language cannot run")
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / f".installed-from-{lock[:16]}"
    if not stamp.exists():
        subprocess.run([npm, "ci", "--ignore-scripts"], cwd=HERE, check=True)
        stamp.touch()
    return found


async def run_caller(node: str, address: str) -> dict[str, Any]:
    """Everything that the caller got."""
    process = await asyncio.create_subprocess_exec(
        node,
        *("client.mjs", address, str(PROTO), str(GOOGLEAPIS)),
        cwd=HERE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result


async def test_a_caller_made_from_the_proto_files(server: InMemory, bundle: Bundle, node: str) -> None:
    got = await run_caller(node, server.served.address)

    assert got["model"]["name"] == f"models/{bundle.model.name}"
    assert got["model"]["revision"] == bundle.model.revision
    assert tuple(intent["name"] for intent in got["intents"]["intents"]) == bundle.model.intents

    turns = [pb.Turn(role=pb.ROLE_USER, text="my card is lost")]
    request = pb.ClassifyRequest(text="wake me at 七", context=turns, top_k=3)
    expected = await server.served.intents.Classify(request)
    assert got["classify"]["request_id"] == "node"
    assert got["classify"]["outcome"] == pb.Outcome.Name(expected.outcome)
    assert {p["intent"]: p["confidence"] for p in got["classify"]["predictions"]} == pytest.approx(
        {p.intent: p.confidence for p in expected.predictions}
    )

    assert [result["result"] for result in got["batch"]["results"]] == ["response", "error"]
    ready, first, second, third = got["stream"]
    assert ready["ready"]["max_in_flight"] > 0
    assert (first["response"]["request_id"], third["response"]["request_id"]) == ("0", "2")
    assert second["error"]["request_id"] == "1"

    assert got["bad"]["code"] == "INVALID_ARGUMENT"
    assert got["bad"]["details"]["ErrorInfo"]["reason"] == "INVALID_INPUT"
    [violation] = got["bad"]["details"]["BadRequest"]["field_violations"]
    assert violation["field"] == "top_k"
    assert got["unknown"]["code"] == "FAILED_PRECONDITION"
    assert got["unknown"]["details"]["ErrorInfo"]["reason"] == "MODEL_NOT_SERVED"
