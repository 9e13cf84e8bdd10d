"""Rules of the API that a linter of protobuf does not know: safe to retry, and open to REST."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import MethodOptions

from intently.v1 import intent_service_pb2, model_service_pb2


def methods() -> Iterator[Any]:
    for file in (intent_service_pb2.DESCRIPTOR, model_service_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            yield from service.methods


METHODS = {method.full_name: method for method in methods()}
UNARY = [name for name, method in METHODS.items() if not method.client_streaming]


def test_the_services_are_those_of_the_design() -> None:
    assert {name.removeprefix("intently.v1.") for name in METHODS} == {
        "IntentService.Classify",
        "IntentService.BatchClassify",
        "IntentService.ClassifyStream",
        "ModelService.GetModel",
        "ModelService.ListModels",
        "ModelService.ListIntents",
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_may_be_retried(name: str) -> None:
    assert METHODS[name].GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS


def test_unary_methods_have_rest_paths_of_their_own() -> None:
    paths = set()
    for name in UNARY:
        rule = METHODS[name].GetOptions().Extensions[annotations_pb2.http]
        pattern = rule.WhichOneof("pattern")
        assert pattern in {"get", "post"}, name
        path = getattr(rule, pattern)
        assert path.startswith("/v1/"), name
        assert rule.body == ("*" if pattern == "post" else ""), name
        paths.add((pattern, path))
    assert len(paths) == len(UNARY)
