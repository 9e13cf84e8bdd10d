"""Messages as JSON, with the field names of the .proto files."""

from google.protobuf import json_format
from google.protobuf.message import Message


def as_dict(message: Message) -> dict[str, object]:
    """The message, for a larger document."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def as_json(message: Message) -> str:
    """The message by itself, for people and programs."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False)
