"""ModelService over a real socket: what is served here, page by page, as the bundle's manifest has it."""

import grpc
import pytest

from intently.v1 import bundle_pb2, model_service_pb2
from intently_server.bundle import Bundle
from support.in_memory import InMemory, StartInMemory
from support.wire import fields_of, reason_of, rich_status

pytestmark = pytest.mark.usefixtures("no_errors_logged")


async def intents_of(server: InMemory, name: str, page_size: int) -> tuple[list[bundle_pb2.Intent], int]:
    """All intents, and the number of pages that they came in."""
    found: list[bundle_pb2.Intent] = []
    pages, token = 0, ""
    while pages == 0 or token:
        request = model_service_pb2.ListIntentsRequest(parent=name, page_size=page_size, page_token=token)
        page = await server.served.models.ListIntents(request)
        found += page.intents
        token = page.next_page_token
        pages += 1
    return found, pages


async def test_a_model_is_described(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    server = await start_in_memory(model_label=["stable"], max_context_turns=3, max_text_chars=500)
    manifest, name = bundle.manifest, f"models/{bundle.model.name}"

    got = await server.served.models.GetModel(model_service_pb2.GetModelRequest(name=name))
    listed = await server.served.models.ListModels(model_service_pb2.ListModelsRequest())

    model = got.model
    assert list(listed.models) == [model]
    assert not listed.next_page_token
    assert (model.name, model.revision, list(model.labels)) == (name, manifest.revision, ["stable"])
    assert model.label_set_version == manifest.label_set.version
    assert model.intent_count == len(manifest.label_set.intents)
    assert list(model.language_codes) == list(manifest.language_codes)
    assert model.calibration == manifest.calibration
    assert list(model.evaluations) == list(manifest.evaluations)
    assert model.quantization == manifest.quantization
    assert model.limits.max_input_tokens == manifest.limits.max_input_tokens
    assert (model.limits.max_context_turns, model.limits.max_text_chars) == (3, 500)


@pytest.mark.parametrize("page_size", [0, 1, 7, 1000])
async def test_intents_are_listed_in_the_label_set_s_order(server: InMemory, bundle: Bundle, page_size: int) -> None:
    expected = list(bundle.manifest.label_set.intents)

    found, pages = await intents_of(server, f"models/{bundle.model.name}", page_size)

    assert found == expected
    assert pages == -(-len(expected) // (page_size or 50))


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
        ("models/", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
        ("another", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
        ("models/another", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("models/" + "x" * 10_000, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    ],
)
async def test_another_name_is_refused(server: InMemory, name: str, code: grpc.StatusCode, reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as got:
        await server.served.models.GetModel(model_service_pb2.GetModelRequest(name=name))
    with pytest.raises(grpc.aio.AioRpcError) as listed:
        await server.served.models.ListIntents(model_service_pb2.ListIntentsRequest(parent=name))

    for error in (got.value, listed.value):
        assert error.code() is code
        assert reason_of(rich_status(error)) == reason


@pytest.mark.parametrize(("page_size", "page_token", "field"), [(-1, "", "page_size"), (1, "nonsense", "page_token")])
async def test_bad_pages_are_refused_by_field(
    server: InMemory, bundle: Bundle, page_size: int, page_token: str, field: str
) -> None:
    requests = {
        "ListModels": model_service_pb2.ListModelsRequest(page_size=page_size, page_token=page_token),
        "ListIntents": model_service_pb2.ListIntentsRequest(
            parent=f"models/{bundle.model.name}", page_size=page_size, page_token=page_token
        ),
    }
    for method, request in requests.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(server.served.models, method)(request)
        assert fields_of(rich_status(caught.value)) == [field]
