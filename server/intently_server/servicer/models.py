"""ModelService: what is served here, read-only."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from intently.v1 import bundle_pb2, model_service_pb2
from intently_server.bundle import Bundle
from intently_server.errors import InvalidInput, ModelNotFound
from intently_server.servicer.call import Call
from intently_server.validation import QueryLimits

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_LONGEST_OFFSET = 10  # characters; Python refuses to read a number of thousands of digits

T = TypeVar("T")


class ModelServicer:
    """Answers ModelService from the one bundle that this server serves.

    Args:
        bundle: What is served.
        labels: By which the operator lets it be selected.
        limits: What applies after the server's own limits.
    """

    def __init__(self, bundle: Bundle, labels: Sequence[str], limits: QueryLimits) -> None:
        self._bundle = bundle
        self._labels = tuple(labels)
        self._limits = limits

    async def GetModel(  # noqa: N802
        self,
        request: model_service_pb2.GetModelRequest,
        call: Call,  # noqa: ARG002
    ) -> model_service_pb2.GetModelResponse:
        """Describes one model."""
        self._require(request.name, "name")
        return model_service_pb2.GetModelResponse(model=self._model())

    async def ListModels(  # noqa: N802
        self,
        request: model_service_pb2.ListModelsRequest,
        call: Call,  # noqa: ARG002
    ) -> model_service_pb2.ListModelsResponse:
        """Lists the models."""
        models, token = page([self._model()], request.page_size, request.page_token)
        return model_service_pb2.ListModelsResponse(models=models, next_page_token=token)

    async def ListIntents(  # noqa: N802
        self,
        request: model_service_pb2.ListIntentsRequest,
        call: Call,  # noqa: ARG002
    ) -> model_service_pb2.ListIntentsResponse:
        """Lists a model's intents."""
        self._require(request.parent, "parent")
        intents, token = page(self._bundle.manifest.label_set.intents, request.page_size, request.page_token)
        return model_service_pb2.ListIntentsResponse(intents=intents, next_page_token=token)

    @property
    def _name(self) -> str:
        return f"models/{self._bundle.model.name}"

    def _require(self, name: str, field: str) -> None:
        if not name.startswith("models/") or name == "models/":
            raise InvalidInput.of(field, 'must be "models/" and a name')
        if name != self._name:
            raise ModelNotFound(f"{name[:80]!r} is not served here, but {self._name!r}")

    def _model(self) -> model_service_pb2.Model:
        manifest = self._bundle.manifest
        return model_service_pb2.Model(
            name=self._name,
            revision=manifest.revision,
            labels=self._labels,
            label_set_version=manifest.label_set.version,
            intent_count=len(manifest.label_set.intents),
            language_codes=manifest.language_codes,
            limits=bundle_pb2.Limits(
                max_input_tokens=manifest.limits.max_input_tokens,
                max_context_turns=self._limits.max_context_turns,
                max_text_chars=self._limits.max_text_chars,
            ),
            calibration=manifest.calibration,
            quantization=manifest.quantization,
            evaluations=manifest.evaluations,
        )


def page(items: Sequence[T], page_size: int, page_token: str) -> tuple[Sequence[T], str]:
    """Cuts one page out of `items`; returns it and the token of the next, "" on the last.

    Raises:
        InvalidInput: for a negative size or a token that no page gave out.
    """
    if page_size < 0:
        raise InvalidInput.of("page_size", f"is {page_size}; it cannot be negative")
    start = _offset(page_token)
    if start > len(items):
        raise InvalidInput.of("page_token", "was not given out by this server")
    end = start + min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return items[start:end], _token(end) if end < len(items) else ""


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"o{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith("o") or not text[1:].isdecimal() or len(text) > _LONGEST_OFFSET:
        raise InvalidInput.of("page_token", "was not given out by this server")
    return int(text[1:])
