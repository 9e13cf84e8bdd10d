"""How `abort` tells a `deploy` to stop that has ended meanwhile, or that is another user's."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from intently_release.commands.byhand import tell_to_stop
from intently_release.errors import Refused
from intently_release.state import Holder

_NOBODY = 65534
_WAIT = (sys.executable, "-c", "input()")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """This process may do what no user's may, until the block ends."""
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_deploy_that_has_ended_just_then_is_nothing_to_stop() -> None:
    with subprocess.Popen(_WAIT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ended:
        ended.wait()

    tell_to_stop(Holder("deploy two", ended.pid, time.time()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_s_deploy_is_refused_by_name() -> None:
    with subprocess.Popen(_WAIT, stdin=subprocess.PIPE) as theirs:
        with as_nobody(), pytest.raises(Refused, match=f"`deploy two` .pid {theirs.pid}, .* is another user's"):
            tell_to_stop(Holder("deploy two", theirs.pid, time.time()))

        assert theirs.poll() is None
        theirs.communicate(b"\n")
    assert theirs.returncode == 0
