"""What vLLM is told to do."""

import itertools
from pathlib import Path

import pytest

from intently_server.engine.vllm_config import VllmConfig


def sizes(largest: int | None, step: int | None = None) -> list[int] | None:
    """Tokens of the steps that become CUDA graphs, of those that a step may have."""
    config = VllmConfig(
        Path("a-bundle"), labels=2, max_input_tokens=512, max_cudagraph_tokens=largest, max_batched_tokens=step
    )
    found: list[int] | None = config.engine_args()["cudagraph_capture_sizes"]
    return found


def test_graphs_are_vllms_choice_unless_they_are_asked_for() -> None:
    assert sizes(None) is None


@pytest.mark.parametrize("largest", [16, 100, 512, 2048, 8192])
def test_graphs_go_up_to_what_is_asked_for_and_waste_little_of_it(largest: int) -> None:
    found = sizes(largest)

    assert found is not None
    assert found[-1] == largest
    assert len(found) <= 64  # each takes time and memory at the start
    for smaller, greater in itertools.pairwise([0, *found]):
        assert smaller < greater
        assert greater - smaller <= max(16, greater / 8)


def test_the_fullest_step_has_a_graph_where_it_has_fewer_tokens() -> None:
    assert sizes(8192, step=5000) == sizes(5000)
