"""Servers that are restarted under load, behind a proxy that sees their health, fail no call and lose no item."""

from pathlib import Path

import pytest

from support.rolling_restart import restart_under_load

pytestmark = pytest.mark.timeout(90)


async def test_a_restart_under_load_costs_nothing(tmp_path: Path) -> None:
    restarts = await restart_under_load(tmp_path, 2, "--drain-delay", "0.5")

    assert restarts.exit_codes == [0, 0]
    assert restarts.failures == []
    assert restarts.errors_logged == []
    assert all(restarts.answered[kind] > 0 for kind in ("call", "bare", "item"))
