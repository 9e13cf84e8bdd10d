"""Settings: each is described, flag and environment agree, and what is unknown is refused."""

import json
from pathlib import Path

import pytest

from intently_server.settings import Settings, SettingsProblem, read_settings

# For each setting, a text that is not its default, as a flag or an environment variable gives it.
SAMPLES = {
    "bundle": "some/folder",
    "address": "0.0.0.0:1234",
    "front_ends": "2",
    "ready_file": "ready.json",
    "max_message_bytes": "1000",
    "max_text_chars": "100",
    "max_context_turns": "0",
    "max_batch_size": "7",
    "max_in_flight": "8",
    "max_running": "5",
    "max_queued_tokens": "99",
    "max_wait": "0.5",
    "max_concurrent_streams": "9",
    "max_streams": "12",
    "stream_begin_timeout": "2.5",
    "max_unsent_bytes_per_caller": "1000",
    "max_unsent_bytes": "2000",
    "stream_max_in_flight": "10",
    "max_priority": "low",
    "default_top_k": "3",
    "min_ping_interval": "2.5",
    "max_unseen_calls": "77",
    "max_connections": "11",
    "handshake_timeout": "1.5",
    "keepalive_interval": "7.5",
    "stream_max_age": "60",
    "drain_delay": "1.5",
    "drain_timeout": "0",
    "token_file": "tokens",
    "tls_reload_interval": "1.5",
    "dtype": "float32",
    "max_batched_tokens": "512",
    "max_sequences": "16",
    "kv_cache_gib": "0.5",
    "gpu_memory_utilization": "0.25",
    "tensor_parallel_size": "2",
    "data_parallel_size": "3",
    "executor": "ray",
    "max_cudagraph_tokens": "2048",
    "admin_address": "127.0.0.1:9464",
    "otlp_endpoint": "http://localhost:4317",
    "trace_sample_ratio": "0.25",
    "log_level": "DEBUG",
    "log_format": "json",
    "engine_log_level": "ERROR",
}
SWITCHES = (
    "reflection",
    "model_service",
    "allow_plaintext_tokens",
    "enforce_eager",
    "async_scheduling",
    "metrics",
    "otlp_metrics",
    "record_utterances",
    "load_reports",
)
TLS = ("--tls-certificate", "c.pem", "--tls-key", "k.pem")
TOGETHER = {"tls_certificate", "tls_key", "tls_client_ca", "allow_identity"}  # they need each other
# Tested below, and a profile in a file of its own.
SPECIAL = {"model_label", "front_end_port", *SWITCHES, *TOGETHER, "profile"}
TWO = ("--bundle", "b", "--front-ends", "2")


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"INTENTLY_{name.upper()}", raising=False)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_every_setting_is_tested_here() -> None:
    assert set(Settings.model_fields) == {*SAMPLES, *SPECIAL}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described_in_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])

    description = Settings.model_fields[name].description
    assert ended.value.code == 0
    assert description
    printed = " ".join(capsys.readouterr().out.split())
    assert flag(name) in printed
    assert " ".join(description.split()) in printed


@pytest.mark.parametrize("name", SAMPLES)
def test_flag_and_environment_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base = [] if name == "bundle" else ["--bundle", "b"]
    by_flag = read_settings([*base, flag(name), SAMPLES[name]])

    monkeypatch.setenv(f"INTENTLY_{name.upper()}", SAMPLES[name])
    by_environment = read_settings(base)

    assert by_flag == by_environment
    assert str(getattr(by_flag, name)) in {SAMPLES[name], f"{SAMPLES[name]}.0"}
    assert getattr(by_flag, name) != Settings.model_fields[name].default


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [True, False])
def test_switches(name: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = read_settings(["--bundle", "b", flag(name) if value else flag(f"no_{name}")])
    monkeypatch.setenv(f"INTENTLY_{name.upper()}", str(value).lower())

    assert read_settings(["--bundle", "b"]) == by_flag
    assert getattr(by_flag, name) is value


def test_a_list_is_a_repeated_flag_and_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = read_settings(["--bundle", "b", "--model-label", "stable", "--model-label", "blue"])
    monkeypatch.setenv("INTENTLY_MODEL_LABEL", json.dumps(["stable", "blue"]))

    assert read_settings(["--bundle", "b"]) == by_flag
    assert by_flag.model_label == ["stable", "blue"]


def test_all_of_tls_by_flag_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = ["spiffe://example.org/Caller", "dns:Caller.example.org"]
    repeated = [part for identity in identities for part in ("--allow-identity", identity)]
    by_flag = read_settings(["--bundle", "b", *TLS, "--tls-client-ca", "ca.pem", *repeated])
    monkeypatch.setenv("INTENTLY_TLS_CERTIFICATE", "c.pem")
    monkeypatch.setenv("INTENTLY_TLS_KEY", "k.pem")
    monkeypatch.setenv("INTENTLY_TLS_CLIENT_CA", "ca.pem")
    monkeypatch.setenv("INTENTLY_ALLOW_IDENTITY", json.dumps(identities))

    assert read_settings(["--bundle", "b"]) == by_flag
    assert (by_flag.tls_certificate, by_flag.tls_key) == (Path("c.pem"), Path("k.pem"))
    assert by_flag.tls_client_ca == Path("ca.pem")
    assert by_flag.allow_identity == ["spiffe://example.org/Caller", "dns:caller.example.org"]


def test_ports_of_front_ends_by_flag_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = read_settings([*TWO, "--address", "[::1]:0", "--front-end-port", "7000"])
    monkeypatch.setenv("INTENTLY_FRONT_END_PORT", "7000")

    assert read_settings([*TWO, "--address", "[::1]:0"]) == by_flag
    assert by_flag.front_end_addresses == ["[::1]:7000", "[::1]:7001"]


def test_front_ends_have_ports_of_their_own_only_where_these_are_wanted() -> None:
    assert read_settings(TWO).front_end_addresses == ()


def test_a_batch_that_fits_into_a_part_is_taken() -> None:
    assert read_settings([*TWO, "--max-in-flight", "10", "--max-batch-size", "5"]).front_ends == 2


def test_a_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTLY_MAX_IN_FLIGHT", "5")

    assert read_settings(["--bundle", "b", "--max-in-flight", "6"]).max_in_flight == 6


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTLY_MAX_INFLIGHT", "5")

    with pytest.raises(SettingsProblem, match="INTENTLY_MAX_INFLIGHT"):
        read_settings(["--bundle", "b"])


@pytest.mark.parametrize("stray", [["--no-such-flag", "1"], ["stray"], ["--max-in-fl", "3"]])
def test_an_unknown_flag_ends_with_2(stray: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--bundle", "b", *stray])

    assert ended.value.code == 2
    assert stray[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--bundle"),
        (["--bundle", "b", "--max-in-flight", "0"], "--max-in-flight"),
        (["--bundle", "b", "--max-in-flight", "many"], "--max-in-flight"),
        (["--bundle", "b", "--gpu-memory-utilization", "1.5"], "--gpu-memory-utilization"),
        (["--bundle", "b", "--drain-timeout", "-1"], "--drain-timeout"),
        (["--bundle", "b", "--dtype", "int4"], "--dtype"),
        (["--bundle", "b", "--tls-reload-interval", "0"], "--tls-reload-interval"),
        (["--bundle", "b", "--tls-certificate", "c"], "--tls-key: this and --tls-certificate need each other"),
        (["--bundle", "b", "--tls-key", "k"], "--tls-key: this and --tls-certificate need each other"),
        (["--bundle", "b", "--tls-client-ca", "a"], "--tls-client-ca: needs --tls-certificate"),
        (["--bundle", "b", *TLS, "--allow-identity", "dns:a"], "--allow-identity: needs --tls-client-ca"),
        (["--bundle", "b", *TLS, "--tls-client-ca", "a", "--allow-identity", "a.example"], "--allow-identity-0: must"),
        (["--bundle", "b", *TLS, "--tls-client-ca", "a", "--allow-identity", "dns:"], "--allow-identity-0: must"),
        (["--bundle", "b", *TLS, "--tls-client-ca", "a", "--allow-identity", "spiffe:x"], "--allow-identity-0: must"),
        (["--bundle", "b", "--front-end-port", "7000"], "--front-end-port: is for several front ends"),
        ([*TWO, "--front-end-port", "65536"], "--front-end-port: Input should be less than or equal to 65535"),
        ([*TWO, "--front-end-port", "65535"], "--front-end-port: 2 ports from 65535 on end at 65536"),
        ([*TWO, "--front-end-port", "50050"], "--front-end-port: the ports 50050 to 50051 include that of --address"),
        ([*TWO, "--address", "unix:/a"], "--front-ends: 2 processes cannot listen on unix:/a"),
        ([*TWO, "--max-in-flight", "510"], "let it be 255 at most, or --max-in-flight 512 at least"),
        ([*TWO, "--max-in-flight", "10"], "a batch of 10 has no room in one of 2 front ends, which takes 5"),
    ],
)
def test_what_is_missing_or_out_of_range_is_named(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SettingsProblem, SystemExit)) as caught:
        read_settings(arguments)

    assert named in f"{caught.value}{capsys.readouterr().err}"


def test_a_list_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTLY_MODEL_LABEL", "stable")

    with pytest.raises(SettingsProblem, match="model_label"):
        read_settings(["--bundle", "b"])


def test_paths_are_paths() -> None:
    assert read_settings(["--bundle", "some/folder"]).bundle == Path("some/folder")
