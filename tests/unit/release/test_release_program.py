"""What a server is started with: the command line, and the environment of its color."""

from pathlib import Path

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.state import Slot
from intently_release.supervise.program import server_program

LAYOUT = Layout(Path("/run/release"))
SLOT = Slot(bundle=Path("/bundles/one"), revision="aa")


def test_a_color_has_its_own_environment_over_that_of_all() -> None:
    config = ReleaseConfig(
        servers={"env": {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}},
        colors={"green": {"endpoints": ["127.0.0.1:7"], "env": {"CUDA_VISIBLE_DEVICES": "1"}}},
    )

    blue, green = (server_program(config, LAYOUT, color, 0, SLOT) for color in Color)

    assert blue.env == {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}
    assert green.env == {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1"}


def test_a_server_that_runs_with_another_environment_goes_on() -> None:
    before = server_program(ReleaseConfig(), LAYOUT, Color.BLUE, 0, SLOT)
    after = server_program(ReleaseConfig(servers={"env": {"A": "b"}}), LAYOUT, Color.BLUE, 0, SLOT)

    assert after.serves_as(before)
