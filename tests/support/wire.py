"""What callers see of errors, and calls with bytes of the caller's own making."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from intently.v1 import intent_service_pb2 as pb


def rich_status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status that travels with an error."""
    packed = metadata_of(error)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    status = status_pb2.Status.FromString(packed)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return status


def metadata_of(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    """Trailing metadata, the last value of each key."""
    return dict(error.trailing_metadata() or ())


def reason_of(status: status_pb2.Status) -> str:
    """The reason in the status's ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    assert _detail(status, info)
    assert info.domain == "intently.dev"
    return str(info.reason)


def fields_of(status: status_pb2.Status) -> list[str]:
    """The fields that the status's BadRequest names."""
    bad_request = error_details_pb2.BadRequest()
    assert _detail(status, bad_request)
    assert all(violation.description for violation in bad_request.field_violations)
    return [violation.field for violation in bad_request.field_violations]


def retry_ms(status: status_pb2.Status) -> int:
    """Milliseconds of the status's RetryInfo."""
    retry = error_details_pb2.RetryInfo()
    assert _detail(status, retry)
    return int(retry.retry_delay.ToMilliseconds())


def _detail(status: status_pb2.Status, message: Message) -> bool:
    return any(packed.Unpack(message) for packed in status.details if packed.Is(message.DESCRIPTOR))


async def call_raw(channel: grpc.aio.Channel, method: str, data: bytes) -> bytes:
    """A unary call of IntentService whose request is `data`, whatever that is."""
    call: Any = channel.unary_unary(f"/intently.v1.IntentService/{method}")
    answer: bytes = await call(data)
    return answer


async def stream_raw(channel: grpc.aio.Channel, messages: Iterable[bytes]) -> list[pb.ClassifyStreamResponse]:
    """A ClassifyStream whose requests are `messages`, then a half-close; returns all answers."""
    method: Any = channel.stream_stream("/intently.v1.IntentService/ClassifyStream")
    call = method(iter(messages))
    return [pb.ClassifyStreamResponse.FromString(answer) async for answer in call]


def utf8_fault(field_number: int) -> bytes:
    """A message whose text field of this number is not UTF-8."""
    return bytes([field_number << 3 | 2, 2, 0xFF, 0xFE])
