"""Routes are on disk whole or not at all, whenever the command that writes them is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from intently_release.layout import Layout
from intently_release.xds.publish import recover
from intently_release.xds.snapshot import version_of
from support.paths import ROOT

KILLS = 5
WRITER = """
import sys
from pathlib import Path
from intently_release.colors import Color, split
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.publish import publish_routes
from intently_release.xds.snapshot import render

layout = Layout(Path(sys.argv[1]))
for number in range(10**6):
    publish_routes(render(ReleaseConfig(), layout, split(Color.GREEN, number % 101)), layout)
    print(number, flush=True)
"""


def write_and_kill(folder: Path, after: int) -> None:
    """Kills a writer while it goes on after so many files."""
    known = os.pathsep.join(map(str, (ROOT / "envoy", ROOT / "proto")))
    command, environment = [sys.executable, "-c", WRITER, str(folder)], {**os.environ, "PYTHONPATH": known}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            assert writer.stdout.readline()
        writer.kill()


def test_a_writer_that_is_killed_leaves_whole_routes_and_what_it_left_is_removed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for kill in range(KILLS):
        write_and_kill(tmp_path, 10 + kill)
        document = json.loads(layout.xds("rds").read_text())
        assert document["version_info"] == version_of(document["resources"])
        assert [path.name for path in layout.xds("rds").parent.iterdir()] == ["rds.json"]

    recover(layout)

    assert list((tmp_path / "xds" / "partial").iterdir()) == []


def test_there_may_be_nothing_to_recover(tmp_path: Path) -> None:
    recover(Layout(tmp_path))

    assert list(tmp_path.iterdir()) == []
