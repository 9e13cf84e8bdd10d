"""vLLM's own metrics, beside the server's: on the admin port of the command intently-server, unless it is closed."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from support.admin_caller import metrics
from support.server_process import ServerProcess, running_server

pytestmark = pytest.mark.engine


async def test_vllms_metrics_stand_beside_the_servers(
    bundle: Bundle, bundle_path: Path, good_request: pb.ClassifyRequest, tmp_path: Path
) -> None:
    with running_server(bundle_path, tmp_path) as server:
        classify(server.address, good_request)
        seen = await metrics(server.admin)

    warm_up = 2 * len(bundle.model.golden_vectors)
    assert seen.sum("intently_server_calls_total") == 2
    assert seen.sum("intently_server_cached_tokens_total") > 0
    assert seen.sum("vllm:request_success_total", model_name=bundle.model.name) == 2 + warm_up
    assert seen.sum("vllm:num_requests_running", model_name=bundle.model.name) == 0
    assert str(bundle_path) not in "".join(f"{family.samples}" for family in seen.families.values())


def test_a_server_without_metrics_answers(exact: ServerProcess, good_request: pb.ClassifyRequest) -> None:
    classify(exact.address, good_request)
    assert exact.admin == ""


def classify(address: str, request: pb.ClassifyRequest) -> None:
    """Asks twice."""
    with grpc.insecure_channel(address) as channel:
        stub: Any = IntentServiceStub(channel)
        assert stub.Classify(request).predictions == stub.Classify(request).predictions
