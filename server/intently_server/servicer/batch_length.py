"""Counts the requests of a batch on the wire: two bytes of a message can become an object of a hundred."""

from intently_server.errors import InvalidInput

_LARGE = 64 * 1024  # bytes; what a smaller message becomes is no burden
_OTHERS = 64  # fields beside the requests that a newer contract may have
_SKIPPED = {1: 8, 5: 4}  # bytes of a value, by wire type


def check_length(data: bytes, limit: int) -> None:
    """Accepts a batch of `limit` requests at most in silence, and bytes that are none: protobuf says what is wrong.

    Looks at no more fields than a good batch has.

    Raises:
        InvalidInput: if there are more.
    """
    if len(data) > _LARGE and _has_more_fields(data, limit + _OTHERS):
        raise InvalidInput.of("requests", f"has more than {limit} requests; a batch takes 1 to {limit}")


def _has_more_fields(data: bytes, limit: int) -> bool:
    at, fields = 0, 0
    while at < len(data):
        fields += 1
        if fields > limit:
            return True
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind in {0, 2}:
            value, at = _varint(data, at)
            at += value if kind == 2 else 0
        elif kind in _SKIPPED:
            at += _SKIPPED[kind]
        else:  # a group, which protobuf would skip whatever is in it; or nothing that it knows
            return True
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where what comes after it begins: the end of the data, if it has none."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return 0, at
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, at
