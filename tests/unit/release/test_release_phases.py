"""How long each part of a release took, by the events that it told."""

from typing import Any

from support.release_stack import Done


def told(at_s: float, event: str, **more: Any) -> dict[str, Any]:
    return {"at_s": at_s, "event": event, **more}


def test_a_phase_lasts_from_its_event_until_the_next_one_whatever_was_looked_at_between() -> None:
    events = [
        told(10.0, "started"),
        told(33.4, "ready"),
        told(33.5, "golden"),
        told(33.52, "shifted", percent=5),
        told(40.0, "look"),
        told(88.52, "shifted", percent=100),
        told(118.0, "something_new"),
        told(119.25, "promoted"),
        told(119.25, "moving"),
        told(129.25, "moving"),
        told(131.5, "moved"),
    ]

    assert Done(0, events, "").phases() == {
        "start": 23.4,
        "golden": 0.1,
        "until the first share": 0.02,
        "5 %": 55.0,
        "100 % and bake": 29.48,
        "something_new": 1.25,
        "streams move": 12.25,
    }


def test_how_it_came_out_is_told_before_its_streams_move() -> None:
    events = [told(10.0, "started"), told(20.0, "promoted"), told(20.0, "moving"), told(21.0, "moved")]

    assert Done(0, events, "").end == told(20.0, "promoted")
    assert Done(1, [told(10.0, "started"), told(20.0, "aborted")], "").end == told(20.0, "aborted")


def test_a_command_that_told_nothing_had_no_phases_and_no_end() -> None:
    refused = Done(2, [], "refused")

    assert (refused.phases(), refused.end) == ({}, {})
