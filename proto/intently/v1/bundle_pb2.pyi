import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from intently.v1 import intent_service_pb2 as _intent_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HeadKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEAD_KIND_UNSPECIFIED: _ClassVar[HeadKind]
    HEAD_KIND_CODE_TOKENS: _ClassVar[HeadKind]
    HEAD_KIND_TRAINED: _ClassVar[HeadKind]

class OutOfScopeScore(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUT_OF_SCOPE_SCORE_UNSPECIFIED: _ClassVar[OutOfScopeScore]
    OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX: _ClassVar[OutOfScopeScore]
HEAD_KIND_UNSPECIFIED: HeadKind
HEAD_KIND_CODE_TOKENS: HeadKind
HEAD_KIND_TRAINED: HeadKind
OUT_OF_SCOPE_SCORE_UNSPECIFIED: OutOfScopeScore
OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX: OutOfScopeScore

class BundleManifest(_message.Message):
    __slots__ = ("format_version", "name", "revision", "create_time", "language_codes", "label_set", "prompt", "head", "calibration", "limits", "quantization", "origin", "evaluations", "files", "golden_vectors")
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_CODES_FIELD_NUMBER: _ClassVar[int]
    LABEL_SET_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_VECTORS_FIELD_NUMBER: _ClassVar[int]
    format_version: int
    name: str
    revision: str
    create_time: _timestamp_pb2.Timestamp
    language_codes: _containers.RepeatedScalarFieldContainer[str]
    label_set: LabelSet
    prompt: Prompt
    head: Head
    calibration: Calibration
    limits: Limits
    quantization: Quantization
    origin: Origin
    evaluations: _containers.RepeatedCompositeFieldContainer[Evaluation]
    files: _containers.RepeatedCompositeFieldContainer[BundleFile]
    golden_vectors: _containers.RepeatedCompositeFieldContainer[GoldenVector]
    def __init__(self, format_version: _Optional[int] = ..., name: _Optional[str] = ..., revision: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., language_codes: _Optional[_Iterable[str]] = ..., label_set: _Optional[_Union[LabelSet, _Mapping]] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., head: _Optional[_Union[Head, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, _Mapping]] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ..., evaluations: _Optional[_Iterable[_Union[Evaluation, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[BundleFile, _Mapping]]] = ..., golden_vectors: _Optional[_Iterable[_Union[GoldenVector, _Mapping]]] = ...) -> None: ...

class Intent(_message.Message):
    __slots__ = ("name", "description", "domain")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    domain: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., domain: _Optional[str] = ...) -> None: ...

class LabelSet(_message.Message):
    __slots__ = ("version", "intents", "out_of_scope")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_FIELD_NUMBER: _ClassVar[int]
    version: str
    intents: _containers.RepeatedCompositeFieldContainer[Intent]
    out_of_scope: Intent
    def __init__(self, version: _Optional[str] = ..., intents: _Optional[_Iterable[_Union[Intent, _Mapping]]] = ..., out_of_scope: _Optional[_Union[Intent, _Mapping]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("prefix", "utterance_open", "suffix", "turns")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    UTTERANCE_OPEN_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    utterance_open: str
    suffix: str
    turns: TurnLayout
    def __init__(self, prefix: _Optional[str] = ..., utterance_open: _Optional[str] = ..., suffix: _Optional[str] = ..., turns: _Optional[_Union[TurnLayout, _Mapping]] = ...) -> None: ...

class TurnLayout(_message.Message):
    __slots__ = ("user_open", "user_close", "assistant_open", "assistant_close")
    USER_OPEN_FIELD_NUMBER: _ClassVar[int]
    USER_CLOSE_FIELD_NUMBER: _ClassVar[int]
    ASSISTANT_OPEN_FIELD_NUMBER: _ClassVar[int]
    ASSISTANT_CLOSE_FIELD_NUMBER: _ClassVar[int]
    user_open: str
    user_close: str
    assistant_open: str
    assistant_close: str
    def __init__(self, user_open: _Optional[str] = ..., user_close: _Optional[str] = ..., assistant_open: _Optional[str] = ..., assistant_close: _Optional[str] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("kind", "code_token_ids")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODE_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    kind: HeadKind
    code_token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[_Union[HeadKind, str]] = ..., code_token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("temperature", "out_of_scope_score", "out_of_scope_threshold", "ambiguity_margin", "fitted_on", "operating_points")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_SCORE_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    AMBIGUITY_MARGIN_FIELD_NUMBER: _ClassVar[int]
    FITTED_ON_FIELD_NUMBER: _ClassVar[int]
    OPERATING_POINTS_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    out_of_scope_score: OutOfScopeScore
    out_of_scope_threshold: float
    ambiguity_margin: float
    fitted_on: str
    operating_points: _containers.RepeatedCompositeFieldContainer[OperatingPoint]
    def __init__(self, temperature: _Optional[float] = ..., out_of_scope_score: _Optional[_Union[OutOfScopeScore, str]] = ..., out_of_scope_threshold: _Optional[float] = ..., ambiguity_margin: _Optional[float] = ..., fitted_on: _Optional[str] = ..., operating_points: _Optional[_Iterable[_Union[OperatingPoint, _Mapping]]] = ...) -> None: ...

class OperatingPoint(_message.Message):
    __slots__ = ("name", "rule", "threshold")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    rule: str
    threshold: float
    def __init__(self, name: _Optional[str] = ..., rule: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_input_tokens", "max_context_turns", "max_text_chars")
    MAX_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONTEXT_TURNS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_CHARS_FIELD_NUMBER: _ClassVar[int]
    max_input_tokens: int
    max_context_turns: int
    max_text_chars: int
    def __init__(self, max_input_tokens: _Optional[int] = ..., max_context_turns: _Optional[int] = ..., max_text_chars: _Optional[int] = ...) -> None: ...

class Quantization(_message.Message):
    __slots__ = ("method", "bits", "group_size", "dtype")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    method: str
    bits: int
    group_size: int
    dtype: str
    def __init__(self, method: _Optional[str] = ..., bits: _Optional[int] = ..., group_size: _Optional[int] = ..., dtype: _Optional[str] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("base_model", "adapter", "recipe", "recipe_sha256", "data", "tools", "parameters", "teachers")
    class ToolsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    RECIPE_SHA256_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TEACHERS_FIELD_NUMBER: _ClassVar[int]
    base_model: str
    adapter: str
    recipe: str
    recipe_sha256: str
    data: _containers.RepeatedCompositeFieldContainer[DataSource]
    tools: _containers.ScalarMap[str, str]
    parameters: int
    teachers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, base_model: _Optional[str] = ..., adapter: _Optional[str] = ..., recipe: _Optional[str] = ..., recipe_sha256: _Optional[str] = ..., data: _Optional[_Iterable[_Union[DataSource, _Mapping]]] = ..., tools: _Optional[_Mapping[str, str]] = ..., parameters: _Optional[int] = ..., teachers: _Optional[_Iterable[str]] = ...) -> None: ...

class DataSource(_message.Message):
    __slots__ = ("name", "license", "sha256", "attribution")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    license: str
    sha256: str
    attribution: str
    def __init__(self, name: _Optional[str] = ..., license: _Optional[str] = ..., sha256: _Optional[str] = ..., attribution: _Optional[str] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("dataset", "split", "in_scope_rows", "out_of_scope_rows", "accuracy", "macro_f1", "ece", "ece_perfect_p95", "out_of_scope_auroc", "operating_points", "engine", "reference", "agreement", "data_sha256")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_ROWS_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MACRO_F1_FIELD_NUMBER: _ClassVar[int]
    ECE_FIELD_NUMBER: _ClassVar[int]
    ECE_PERFECT_P95_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_AUROC_FIELD_NUMBER: _ClassVar[int]
    OPERATING_POINTS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    DATA_SHA256_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    split: str
    in_scope_rows: int
    out_of_scope_rows: int
    accuracy: float
    macro_f1: float
    ece: float
    ece_perfect_p95: float
    out_of_scope_auroc: float
    operating_points: _containers.RepeatedCompositeFieldContainer[OperatingPointResult]
    engine: str
    reference: str
    agreement: float
    data_sha256: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dataset: _Optional[str] = ..., split: _Optional[str] = ..., in_scope_rows: _Optional[int] = ..., out_of_scope_rows: _Optional[int] = ..., accuracy: _Optional[float] = ..., macro_f1: _Optional[float] = ..., ece: _Optional[float] = ..., ece_perfect_p95: _Optional[float] = ..., out_of_scope_auroc: _Optional[float] = ..., operating_points: _Optional[_Iterable[_Union[OperatingPointResult, _Mapping]]] = ..., engine: _Optional[str] = ..., reference: _Optional[str] = ..., agreement: _Optional[float] = ..., data_sha256: _Optional[_Iterable[str]] = ...) -> None: ...

class OperatingPointResult(_message.Message):
    __slots__ = ("name", "in_scope_accuracy", "in_scope_kept", "out_of_scope_recall")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_KEPT_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SCOPE_RECALL_FIELD_NUMBER: _ClassVar[int]
    name: str
    in_scope_accuracy: float
    in_scope_kept: float
    out_of_scope_recall: float
    def __init__(self, name: _Optional[str] = ..., in_scope_accuracy: _Optional[float] = ..., in_scope_kept: _Optional[float] = ..., out_of_scope_recall: _Optional[float] = ...) -> None: ...

class BundleFile(_message.Message):
    __slots__ = ("path", "size", "sha256", "affects_answers")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    AFFECTS_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    sha256: str
    affects_answers: bool
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., affects_answers: _Optional[bool] = ...) -> None: ...

class GoldenVector(_message.Message):
    __slots__ = ("text", "context", "token_ids", "probabilities", "intent")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    text: str
    context: _containers.RepeatedCompositeFieldContainer[_intent_service_pb2.Turn]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    intent: str
    def __init__(self, text: _Optional[str] = ..., context: _Optional[_Iterable[_Union[_intent_service_pb2.Turn, _Mapping]]] = ..., token_ids: _Optional[_Iterable[int]] = ..., probabilities: _Optional[_Iterable[float]] = ..., intent: _Optional[str] = ...) -> None: ...
