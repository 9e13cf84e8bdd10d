"""Settings of telemetry that are refused: ports that do not exist, and credentials where they would be logged."""

import pytest

from intently_server.settings import SettingsProblem, read_settings


@pytest.mark.parametrize("address", ["127.0.0.1:65536", "127.0.0.1:99999", "[::1]:100000"])
def test_a_port_that_does_not_exist_is_refused(address: str) -> None:
    with pytest.raises(SettingsProblem, match=r"--admin-address: .*beyond 65535"):
        read_settings(["--bundle", "b", "--admin-address", address])


@pytest.mark.parametrize("address", ["127.0.0.1:65535", "127.0.0.1:0", ""])
def test_a_port_that_exists_is_taken(address: str) -> None:
    assert read_settings(["--bundle", "b", "--admin-address", address]).admin_address == address


@pytest.mark.parametrize("url", ["http://someone:hushhush@h:1", "https://hushhush@h", "http://a:hush/hush@h:1"])
def test_credentials_in_the_collectors_url_are_refused_and_not_told(url: str) -> None:
    with pytest.raises(SettingsProblem, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        read_settings(["--bundle", "b", "--otlp-endpoint", url])

    assert "hush" not in str(caught.value)
