"""What the help of `deploy` says of its end."""

import pytest

from intently_release.commands.arguments import parser


def test_who_deploys_is_told_that_streams_are_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["deploy", "--help"])

    said = " ".join(capsys.readouterr().out.split())
    assert "may wait for releasing.stream_patience" in said
    assert "for streams it waits all the same" in said
