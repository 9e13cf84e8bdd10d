"""REST, browsers, health and figures over HTTP through the real Envoy; and what of it cannot be reached."""

import base64
import contextlib
import http.client
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_release.colors import Color
from intently_release.xds.names import PIN_HEADER
from support.two_colors import TwoColors, two_colors

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
JSON = {"content-type": "application/json"}
CLASSIFY = "/intently.v1.IntentService/Classify"
OURS, OTHERS = "https://ours.example", "https://others.example"
ADMIN_PATHS = ("/config_dump", "/stats", "/clusters", "/server_info", "/ready", "/quitquitquit", "/logging", "/")


@dataclass(frozen=True, slots=True)
class Answer:
    """Of HTTP/1.1."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    address: str, method: str, path: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


@pytest.fixture(scope="module")
def colors() -> Iterator[TwoColors]:
    with two_colors() as started:
        yield started


@pytest.fixture(scope="module")
def open_to_pages() -> Iterator[TwoColors]:
    """An Envoy that a page may call."""
    with two_colors(listener={"cors_origins": [OURS]}) as started:
        yield started


def test_an_utterance_is_classified_over_rest(colors: TwoColors) -> None:
    answer = ask(colors.address, "POST", "/v1/classify", json.dumps({"text": "hello", "requestId": "one"}), JSON)

    assert answer.status == 200
    assert answer.document["requestId"] == "one"
    assert answer.document["predictions"][0]["intent"]
    assert answer.document["model"]["revision"] == colors.revisions[Color.BLUE]
    assert answer.document["truncated"] is False  # what has its default is said too


def test_a_batch_is_classified_over_rest(colors: TwoColors) -> None:
    body = json.dumps({"requests": [{"text": "hello"}, {"text": ""}]})
    good, bad = ask(colors.address, "POST", "/v1/classify:batch", body, JSON).document["results"]

    assert good["response"]["predictions"]
    assert bad["error"]["code"] == 3


def test_the_pin_holds_over_rest(colors: TwoColors) -> None:
    pinned = {**JSON, PIN_HEADER: Color.GREEN.value}
    answer = ask(colors.address, "POST", "/v1/classify", json.dumps({"text": "hello"}), pinned)

    assert answer.document["model"]["revision"] == colors.revisions[Color.GREEN]


def test_models_and_intents_are_listed_over_rest(colors: TwoColors) -> None:
    [model] = ask(colors.address, "GET", "/v1/models").document["models"]
    assert ask(colors.address, "GET", f"/v1/{model['name']}").document["model"] == model
    page = ask(colors.address, "GET", f"/v1/{model['name']}/intents?pageSize=2").document

    assert len(page["intents"]) == 2
    assert page["nextPageToken"]


def test_an_error_is_json_with_its_details(colors: TwoColors) -> None:
    answer = ask(colors.address, "POST", "/v1/classify", json.dumps({"text": ""}), JSON)

    assert answer.status == 400
    assert answer.document["code"] == 3
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in answer.document["details"]}
    assert kinds["ErrorInfo"]["reason"] == "INVALID_INPUT"
    assert kinds["BadRequest"]["fieldViolations"][0]["field"] == "text"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/classify", "{no json", 400),
        ("POST", "/v1/classify", '{"unknown": 1}', 400),
        ("GET", "/v1/models/none-such", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/", None, 404),
        ("DELETE", "/v1/models", None, 404),
    ],
)
def test_what_is_no_request_gets_a_plain_answer(
    colors: TwoColors, method: str, path: str, body: str | None, status: int
) -> None:
    assert ask(colors.address, method, path, body, JSON).status == status


def web_frame(message: bytes) -> bytes:
    """A message as gRPC-Web frames it."""
    return struct.pack(">BI", 0, len(message)) + message


def web_parts(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The message and the trailers of a gRPC-Web answer."""
    message, trailers = b"", {}
    while body:
        kind, size = struct.unpack(">BI", body[:5])
        part, body = body[5 : 5 + size], body[5 + size :]
        if kind == 0:
            message = part
        else:
            trailers = dict(line.split(":", 1) for line in part.decode().split("\r\n") if line)
    return message, trailers


def decoded(body: bytes) -> bytes:
    """Base64 that was encoded in pieces, each with its own padding."""
    return b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_a_browsers_call_is_answered(colors: TwoColors, text: bool) -> None:
    body = web_frame(pb.ClassifyRequest(text="hello").SerializeToString())
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    sent = base64.b64encode(body) if text else body
    answer = ask(colors.address, "POST", CLASSIFY, sent, {"content-type": kind, "accept": kind, "x-grpc-web": "1"})

    message, trailers = web_parts(decoded(answer.body) if text else answer.body)
    assert answer.status == 200
    assert trailers["grpc-status"] == "0"
    assert pb.ClassifyResponse.FromString(message).predictions


def preflight(colors: TwoColors, path: str, origin: str) -> Answer:
    """What a browser asks before a page's call."""
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web"}
    return ask(colors.address, "OPTIONS", path, None, asked)


@pytest.mark.parametrize("path", ["/v1/classify", CLASSIFY])
def test_pages_may_call_only_where_their_origin_is_named(
    colors: TwoColors, open_to_pages: TwoColors, path: str
) -> None:
    allowed = preflight(open_to_pages, path, OURS)
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == OURS
    assert "x-grpc-web" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in preflight(open_to_pages, path, OTHERS).headers
    assert "access-control-allow-origin" not in preflight(colors, path, OURS).headers


def test_a_pages_call_is_answered_with_its_origin(open_to_pages: TwoColors) -> None:
    body = json.dumps({"text": "hello"})
    answer = ask(open_to_pages.address, "POST", "/v1/classify", body, {**JSON, "origin": OURS})

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    assert "grpc-status" in answer.headers["access-control-expose-headers"]


def test_what_is_switched_off_is_not_answered() -> None:
    with two_colors(listener={"rest": False, "grpc_web": False}, metrics=None) as colors:
        assert ask(colors.address, "POST", "/v1/classify", json.dumps({"text": "hello"}), JSON).status == 404
        body = web_frame(pb.ClassifyRequest(text="hello").SerializeToString())
        answer = ask(colors.address, "POST", CLASSIFY, body, {"content-type": "application/grpc-web+proto"})
        assert not pb.ClassifyResponse.FromString(web_parts(answer.body)[0]).predictions
        assert tcp_addresses(colors) == {colors.address}


def test_healthz_is_answered_by_envoy_itself(colors: TwoColors) -> None:
    name = "cluster.blue.upstream_rq_total"
    before = colors.envoy.stats(name)
    assert ask(colors.address, "GET", "/healthz").status == 200

    assert colors.envoy.stats(name) == before


def test_the_prometheus_listener_shows_the_figures_and_nothing_else(colors: TwoColors) -> None:
    assert colors.envoy.config.metrics is not None
    metrics = colors.envoy.config.metrics
    answer = ask(metrics, "GET", "/metrics")

    assert answer.status == 200
    assert b"envoy_cluster_membership_healthy" in answer.body
    for path in (
        *ADMIN_PATHS,
        "/metrics/",
        "/metrics/../config_dump",
        "/metrics%2f..%2fconfig_dump",
        "/stats/prometheus",
    ):
        assert ask(metrics, "GET", path).status in (400, 404), path
    for method in ("POST", "PUT", "DELETE"):
        assert ask(metrics, method, "/metrics").status == 404


def tcp_addresses(colors: TwoColors) -> set[str]:
    """Where Envoy listens."""
    connections = psutil.Process(colors.envoy.process.pid).net_connections("tcp")
    return {f"{each.laddr.ip}:{each.laddr.port}" for each in connections if each.status == psutil.CONN_LISTEN}


def test_admin_is_not_reachable_over_tcp(colors: TwoColors) -> None:
    assert tcp_addresses(colors) == {colors.address, colors.envoy.config.metrics}
    for path in ADMIN_PATHS:
        assert ask(colors.address, "GET", path).status == 404


@pytest.mark.parametrize("path", ["/quitquitquit", "/logging", "/reset_counters", "/drain_listeners", "/certs", "/"])
def test_admin_refuses_what_would_change_envoy(colors: TwoColors, path: str) -> None:
    assert {colors.envoy.ask(path, method)[0] for method in ("GET", "POST")} == {403}


def test_the_sockets_of_operators_are_their_owners_alone(colors: TwoColors) -> None:
    for socket in (colors.envoy.layout.admin_socket, colors.envoy.layout.calls_socket):
        assert socket.stat().st_mode & 0o777 == 0o600


def test_more_connections_than_configured_are_refused_but_not_those_of_operators() -> None:
    with two_colors(listener={"max_connections": 2}) as colors, contextlib.ExitStack() as stack:
        for _ in range(2):
            taken = http.client.HTTPConnection(colors.address, timeout=20)
            stack.callback(taken.close)
            taken.request("GET", "/healthz")
            taken.getresponse().read()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(colors.address, "GET", "/healthz")
        assert colors.envoy.config.metrics is not None
        assert ask(colors.envoy.config.metrics, "GET", "/metrics").status == 200
        assert colors.envoy.ask("/healthz", at=colors.envoy.layout.calls_socket)[0] == 200
