"""Between a caller and a server: keeps the bytes that the server sends, for what gRPC does not show its callers."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

LOAD_REPORT = b"endpoint-load-metrics-bin"
# Fields of xds.data.orca.v3.OrcaLoadReport, by number.
_DOUBLES = {6: "rps_fractional", 7: "eps", 9: "application_utilization"}
_NAMED_METRICS = 8


@contextlib.asynccontextmanager
async def tapped(address: str) -> AsyncIterator[tuple[str, bytearray]]:
    """Relays to the server at this address; yields the address to call instead, and what the server sends."""
    host, _, port = address.rpartition(":")
    sent = bytearray()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        while data := await reader.read(65536):
            kept.extend(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            pump(reader, to_server, bytearray()), pump(from_server, writer, sent), return_exceptions=True
        )

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", sent
    finally:
        server.close()


def load_report(sent: bytes) -> dict[str, Any]:
    """The first ORCA load report in what a server sent, with the fields that it has.

    gRPC's core keeps the report for its own balancers and shows it to no caller. Between two such cores the value of
    its header is, on the wire, a length below 127, a zero byte, and the message as it is.
    """
    at = sent.index(LOAD_REPORT) + len(LOAD_REPORT)
    length = sent[at]
    assert length < 127
    assert sent[at + 1] == 0
    report: dict[str, Any] = {"named_metrics": {}}
    for field in _fields(sent[at + 2 : at + 1 + length]):
        if field.field_number == _NAMED_METRICS:
            key, value = _fields(field.data)
            report["named_metrics"][key.data.decode()] = _double(value.data)
        else:
            report[_DOUBLES[field.field_number]] = _double(field.data)
    return report


def _fields(message: bytes) -> list[Any]:
    fields: Any = UnknownFieldSet(Empty.FromString(message))
    return list(fields)


def _double(fixed64: int) -> float:
    [value] = struct.unpack("<d", struct.pack("<Q", fixed64))
    return float(value)
