"""Headers of calls: those that gRPC, HTTP/2 and the server look at, with values that they do not expect."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from support.fuzz.frames import Header, call_headers
from support.fuzz.messages import chance

_NAMES = (
    "authorization",
    "traceparent",
    "tracestate",
    "baggage",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-internal-encoding-request",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-message",
    "grpc-trace-bin",
    "grpc-tags-bin",
    "endpoint-load-metrics-bin",
    "x-intently-priority",
    "x-intently-revision",
    "x-endpoint-load-metrics-bin",
    "x-any",
    "x-any-bin",
    "X-Upper",
    "content-type",
    "content-length",
    "te",
    "user-agent",
    "host",
    "cookie",
    "connection",
    "transfer-encoding",
    "upgrade",
    ":path",
    ":method",
    ":scheme",
    ":authority",
    ":status",
    ":protocol",
    "",
)
_VALUES = (
    "",
    "0",
    "-1",
    "1n",
    "1S",
    "-1S",
    "9" * 20 + "H",
    "99999999H",
    "soon",
    "gzip",
    "identity",
    "high",
    "low",
    "Bearer",
    "Bearer secret",
    "00-" + "0af7651916cd43dd8448eb211c80319c" + "-b7ad6b7169203331-01",
    "00-" + "0" * 32 + "-" + "0" * 16 + "-zz",
    "=," * 500,
    "%%%",
    "AAAA",
    "application/grpc",
    "application/grpc+proto",
    "application/json",
    "trailers",
    "chunked",
    "/intently.v1.IntentService/Classify",
    "/",
    "GET",
    "CONNECT",
    "a=b; " * 200,
    "v" * 200,
    "v" * 15_000,
    "v" * 60_000,
    b"\xff\xfe\x00",
    b"\r\n\r\n",
    "\x7f" * 100,
)
_FITTING: tuple[Header, ...] = (
    ("x-intently-priority", "high"),
    ("x-intently-priority", "lowest"),
    ("x-intently-revision", "0" * 12),
    ("x-any", "v" * 200),
    ("x-any", b"\xff\xfe\x00"),
    ("x-any-bin", "AAAA"),
    ("authorization", "Bearer secret"),
    ("authorization", b"Bearer \xff\x00"),
    ("traceparent", "00-" + "0af7651916cd43dd8448eb211c80319c" + "-b7ad6b7169203331-01"),
    ("traceparent", b"\xff" * 55),
    ("tracestate", "=," * 500),
    ("baggage", "%" * 1000),
    ("grpc-timeout", "1n"),
    ("grpc-timeout", "100m"),
    ("grpc-timeout", "99999999H"),
    ("grpc-encoding", "gzip"),
    ("grpc-accept-encoding", "identity,gzip,unheard-of"),
    ("grpc-previous-rpc-attempts", "3"),
    ("user-agent", "grpc-test/1"),
)
_MANY = (1, 1, 1, 1, 30, 300)


@st.composite
def header_lists(draw: DrawFn, path: str, bad_paths: bool) -> list[Header]:  # as it is asked for
    """The headers of a call to this method, and more than those, or less.

    Args:
        bad_paths: Whether there may be a :path that is no UTF-8, which ends a server of grpc.aio 1.85.
    """
    headers = list(call_headers(path))
    for _ in range(draw(st.integers(1, 5))):
        header: Header = draw(_HEADERS if bad_paths else _HEADERS.filter(_stops_nobody))
        headers += [header] * draw(st.sampled_from(_MANY)) if len(header[1]) < 1000 else [header]
    if draw(chance(15)):
        del headers[draw(st.integers(0, len(headers) - 1))]
    if draw(chance(15)):
        at = draw(st.integers(0, len(headers) - 1))
        headers.insert(draw(st.integers(0, len(headers))), headers[at])
    if draw(chance(10)):
        headers.reverse()
    return headers


_HEADERS: SearchStrategy[Header] = st.sampled_from(_FITTING) | st.tuples(
    st.sampled_from(_NAMES) | st.sampled_from(_NAMES) | st.binary(max_size=20),
    st.sampled_from(_VALUES) | st.sampled_from(_VALUES) | st.binary(max_size=60),
)


def _stops_nobody(header: Header) -> bool:
    name, value = header
    if name not in {":path", b":path"} or isinstance(value, str):
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
