import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_MATCHED: _ClassVar[Outcome]
    OUTCOME_OUT_OF_SCOPE: _ClassVar[Outcome]
    OUTCOME_AMBIGUOUS: _ClassVar[Outcome]

class DrainReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRAIN_REASON_UNSPECIFIED: _ClassVar[DrainReason]
    DRAIN_REASON_SHUTDOWN: _ClassVar[DrainReason]
    DRAIN_REASON_MAX_AGE: _ClassVar[DrainReason]
ROLE_UNSPECIFIED: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_MATCHED: Outcome
OUTCOME_OUT_OF_SCOPE: Outcome
OUTCOME_AMBIGUOUS: Outcome
DRAIN_REASON_UNSPECIFIED: DrainReason
DRAIN_REASON_SHUTDOWN: DrainReason
DRAIN_REASON_MAX_AGE: DrainReason

class Turn(_message.Message):
    __slots__ = ("role", "text")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    role: Role
    text: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., text: _Optional[str] = ...) -> None: ...

class ModelSelector(_message.Message):
    __slots__ = ("revision", "label")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    revision: str
    label: str
    def __init__(self, revision: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("request_id", "text", "context", "language_code", "model", "candidate_intents", "top_k", "min_confidence", "allow_truncation")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_CODE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_INTENTS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    text: str
    context: _containers.RepeatedCompositeFieldContainer[Turn]
    language_code: str
    model: ModelSelector
    candidate_intents: _containers.RepeatedScalarFieldContainer[str]
    top_k: int
    min_confidence: float
    allow_truncation: bool
    def __init__(self, request_id: _Optional[str] = ..., text: _Optional[str] = ..., context: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ..., language_code: _Optional[str] = ..., model: _Optional[_Union[ModelSelector, _Mapping]] = ..., candidate_intents: _Optional[_Iterable[str]] = ..., top_k: _Optional[int] = ..., min_confidence: _Optional[float] = ..., allow_truncation: _Optional[bool] = ...) -> None: ...

class IntentPrediction(_message.Message):
    __slots__ = ("intent", "confidence", "raw_score")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    intent: str
    confidence: float
    raw_score: float
    def __init__(self, intent: _Optional[str] = ..., confidence: _Optional[float] = ..., raw_score: _Optional[float] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("model", "revision", "label_set_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LABEL_SET_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    revision: str
    label_set_version: str
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[str] = ..., label_set_version: _Optional[str] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue", "tokenize", "inference")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TOKENIZE_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    tokenize: _duration_pb2.Duration
    inference: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tokenize: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., inference: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("request_id", "outcome", "predictions", "out_of_scope_confidence", "model", "timing", "input_tokens", "cached_tokens", "truncated")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    outcome: Outcome
    predictions: _containers.RepeatedCompositeFieldContainer[IntentPrediction]
    out_of_scope_confidence: float
    model: ModelInfo
    timing: Timing
    input_tokens: int
    cached_tokens: int
    truncated: bool
    def __init__(self, request_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., predictions: _Optional[_Iterable[_Union[IntentPrediction, _Mapping]]] = ..., out_of_scope_confidence: _Optional[float] = ..., model: _Optional[_Union[ModelInfo, _Mapping]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., input_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., truncated: _Optional[bool] = ...) -> None: ...

class BatchClassifyRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ClassifyRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ClassifyRequest, _Mapping]]] = ...) -> None: ...

class BatchClassifyResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: ClassifyResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[ClassifyResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class BatchClassifyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchClassifyResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchClassifyResult, _Mapping]]] = ...) -> None: ...

class ClassifyStreamRequest(_message.Message):
    __slots__ = ("config", "item", "cancel", "reset_context")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    RESET_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    item: ClassifyItem
    cancel: CancelItem
    reset_context: ResetContext
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., item: _Optional[_Union[ClassifyItem, _Mapping]] = ..., cancel: _Optional[_Union[CancelItem, _Mapping]] = ..., reset_context: _Optional[_Union[ResetContext, _Mapping]] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("model", "max_in_flight", "ordered", "accumulate_context", "initial_context")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    ACCUMULATE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    max_in_flight: int
    ordered: bool
    accumulate_context: bool
    initial_context: _containers.RepeatedCompositeFieldContainer[Turn]
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., max_in_flight: _Optional[int] = ..., ordered: _Optional[bool] = ..., accumulate_context: _Optional[bool] = ..., initial_context: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ...) -> None: ...

class ClassifyItem(_message.Message):
    __slots__ = ("request", "utterance_id", "sequence", "is_final")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    UTTERANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    request: ClassifyRequest
    utterance_id: str
    sequence: int
    is_final: bool
    def __init__(self, request: _Optional[_Union[ClassifyRequest, _Mapping]] = ..., utterance_id: _Optional[str] = ..., sequence: _Optional[int] = ..., is_final: _Optional[bool] = ...) -> None: ...

class CancelItem(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class ResetContext(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ClassifyStreamResponse(_message.Message):
    __slots__ = ("ready", "response", "error", "drain")
    READY_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    ready: StreamReady
    response: ClassifyResponse
    error: ItemError
    drain: DrainNotice
    def __init__(self, ready: _Optional[_Union[StreamReady, _Mapping]] = ..., response: _Optional[_Union[ClassifyResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ..., drain: _Optional[_Union[DrainNotice, _Mapping]] = ...) -> None: ...

class StreamReady(_message.Message):
    __slots__ = ("max_in_flight", "model")
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    max_in_flight: int
    model: ModelInfo
    def __init__(self, max_in_flight: _Optional[int] = ..., model: _Optional[_Union[ModelInfo, _Mapping]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("request_id", "status")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    status: _status_pb2.Status
    def __init__(self, request_id: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class DrainNotice(_message.Message):
    __slots__ = ("reason", "grace")
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    reason: DrainReason
    grace: _duration_pb2.Duration
    def __init__(self, reason: _Optional[_Union[DrainReason, str]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
