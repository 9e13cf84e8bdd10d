"""Calls and streams that gRPC's own client sends, whose messages are nearly right."""

from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from intently.v1 import intent_service_pb2, model_service_pb2
from intently.v1 import intent_service_pb2 as pb
from support.fuzz.case import Case, Kind
from support.fuzz.messages import Words, chance, message_of
from support.fuzz.mutations import broken
from support.hostile.peer import STREAM

SERVICES = (
    intent_service_pb2.DESCRIPTOR.services_by_name["IntentService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)
METHODS: tuple[MethodDescriptor, ...] = tuple(method for service in SERVICES for method in service.methods)
_OWN = [method for service in SERVICES[:2] for method in service.methods if method.name != "ClassifyStream"]
_CALLED = [*_OWN, *_OWN, *(method for service in SERVICES[2:] for method in service.methods)]
_BROKEN_PERCENT = 50  # of messages of calls
_BROKEN_ITEMS_PERCENT = 40
_LONGEST_CONVERSATION = 12
_KINDS = ("item", "item", "item", "cancel", "reset_context", "config", "")
_CONFIG = pb.ClassifyStreamRequest(config=pb.StreamConfig()).SerializeToString()


def path_of(method: MethodDescriptor) -> str:
    """As it stands in a call's headers."""
    return f"/{method.containing_service.full_name}/{method.name}"


STREAMS = {path_of(method) for method in METHODS if method.client_streaming}
WATCHES = {path_of(method) for method in METHODS if method.server_streaming} - STREAMS


@st.composite
def calls(draw: DrawFn, words: Words) -> Case:
    """A call of any method but the stream of items."""
    method = draw(st.sampled_from(_CALLED))
    count = draw(st.integers(0, 4)) if method.client_streaming else 1
    return Case(Kind.MESSAGE, path_of(method), tuple(message_to(draw, method, words) for _ in range(count)))


def message_to(draw: DrawFn, method: MethodDescriptor, words: Words) -> bytes:
    """The bytes of one message, which may be none."""
    valid = message_of(draw, method.input_type, words).SerializeToString()
    return broken(draw, valid) if draw(chance(_BROKEN_PERCENT)) else valid


@st.composite
def conversations(draw: DrawFn, words: Words) -> Case:
    """The messages of a stream; most begin as they should."""
    begin = [_CONFIG]
    if draw(chance(10)):
        begin = []
    elif draw(chance(30)):
        begin = [_item_of(draw, "config", words)]
    kinds = draw(st.lists(st.sampled_from(_KINDS), max_size=_LONGEST_CONVERSATION))
    return Case(Kind.CONVERSATION, STREAM, (*begin, *(_item_of(draw, kind, words) for kind in kinds)))


def _item_of(draw: DrawFn, kind: str, words: Words) -> bytes:
    message = pb.ClassifyStreamRequest()
    if kind:
        inner = getattr(message, kind)
        inner.SetInParent()
        inner.MergeFrom(message_of(draw, inner.DESCRIPTOR, words))
        if kind == "item":
            inner.request.request_id = str(draw(st.integers(0, 5)))
    valid = message.SerializeToString()
    return broken(draw, valid) if draw(chance(_BROKEN_ITEMS_PERCENT)) else valid
