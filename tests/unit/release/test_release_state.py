"""What is wanted: what a state may say, and that it is the same after a round trip."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from intently_release.colors import Color, all_to, split
from intently_release.state import Phase, ReleaseState, Slot, State

BUNDLE = Path("/bundles/one")

colors = st.sampled_from(Color)
slots = st.builds(
    Slot,
    bundle=st.sampled_from([BUNDLE, Path("/bundles/two")]),
    revision=st.text(max_size=5),
    wanted=st.sampled_from(["running", "stopped"]),
)
releases = st.builds(
    ReleaseState,
    id=st.text(min_size=1),
    canary=colors,
    phase=st.sampled_from(Phase),
    reasons=st.tuples(st.text(), st.text()),
)
states = st.builds(
    State,
    stable=colors,
    weights=st.builds(split, colors, st.integers(0, 100)),
    slots=st.dictionaries(colors, slots),
    release=st.none() | releases,
    previous=st.none() | colors,
)


@given(states)
def test_a_state_is_the_same_after_a_round_trip(state: State) -> None:
    assert State.model_validate_json(state.model_dump_json()) == state


def test_a_color_that_is_not_named_is_empty_and_stopped() -> None:
    state = State(stable=Color.BLUE, weights=all_to(Color.BLUE), slots={Color.BLUE: Slot(bundle=BUNDLE)})

    assert state.slots[Color.GREEN] == Slot(bundle=None, revision="", wanted="stopped")


def test_a_changed_state_leaves_the_old_one_as_it_was() -> None:
    old = State(stable=Color.BLUE, weights=all_to(Color.BLUE))

    new = old.with_slot(Color.GREEN, Slot(bundle=BUNDLE, wanted="running")).with_weights(split(Color.GREEN, 5))

    assert old == State(stable=Color.BLUE, weights=all_to(Color.BLUE))
    assert new.slots[Color.GREEN].wanted == "running"
    assert new.weights == {Color.BLUE: 95, Color.GREEN: 5}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weights": {"blue": 60, "green": 30}}, "sum to 100: blue 60, green 30"),
        ({"weights": {"blue": 100}}, "must name both colors"),
        ({"weights": {}}, "sum to 100: none"),
        ({"weights": {"blue": 150, "green": -50}}, "greater than or equal to 0"),
        ({"weights": {"red": 100, "green": 0}}, "'blue' or 'green'"),
        ({"stable": "red"}, "'blue' or 'green'"),
        ({"stabel": "blue"}, "Extra inputs"),
        ({"slots": {"blue": {"bundle": "bundles/one"}}}, "no absolute path"),
        ({"slots": {"blue": {"wanted": "running"}}}, "without a bundle"),
        ({"slots": {"blue": {"wanted": "paused"}}}, "'running' or 'stopped'"),
        ({"slots": {"blue": {"port": 1}}}, "Extra inputs"),
        ({"release": {"id": "1", "canary": "green", "phase": "done"}}, "'starting'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        State.model_validate({"stable": "blue", "weights": {"blue": 100, "green": 0}, **fields})


@pytest.mark.parametrize("fields", [{"weights": {Color.BLUE: 1, Color.GREEN: 1}}, {"colour": Color.BLUE}])
def test_a_change_is_checked_as_a_new_state_is(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        State(stable=Color.BLUE, weights=all_to(Color.BLUE)).changed(**fields)
