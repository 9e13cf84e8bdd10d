"""A call whose :path is no UTF-8, which ends a server of grpc.aio 1.85, with every call that is under way."""

import socket

from hpack import Decoder

from support.fuzz.frames import BEGIN, HEADERS, block, call_headers, header_frames

UNREADABLE = b"\xbc"


def send_path(address: str, path: bytes) -> socket.socket:
    """Begins a call with that path, on a connection of its own, which it returns: open, and the call with it.

    Args:
        address: HOST:PORT, unix:PATH, or unix-abstract:NAME.
        path: Of the call, with its query if it has one.
    """
    host, _, port = address.rpartition(":")
    if host == "unix":
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(port)
    elif host == "unix-abstract":
        caller = socket.socket(socket.AF_UNIX)
        caller.connect("\0" + port)
    else:
        caller = socket.create_connection((host, int(port)))
    pseudo, rest = (":path", path), [each for each in call_headers("") if each[0] != ":path"]
    caller.sendall(BEGIN + b"".join(header_frames(1, block([*rest[:2], pseudo, *rest[2:]]))))
    return caller


def answer_to(caller: socket.socket) -> dict[str, str]:
    """The first headers that come back on that connection, of an answer without a body its only ones.

    Raises:
        EOFError: if it was closed before.
    """
    with caller.makefile("rb") as coming:
        while True:
            head = coming.read(9)
            if len(head) < 9:
                raise EOFError("closed without an answer")
            body = coming.read(int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS:
                return {str(name): str(value) for name, value in Decoder().decode(body)}
