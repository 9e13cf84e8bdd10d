"""Teachers: batches that fit the GPU's memory, and a large one's arithmetic."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from intently_build.bundles.manifest import label_names, read_manifest
from intently_build.distilling.batches import in_batches
from intently_build.distilling.teachers import Teacher, teaching_dtype
from intently_build.errors import BuildError
from support.paths import BUNDLE


class Room:
    """Memory for so many items at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.tried: list[int] = []
        self.done: list[int] = []

    def compute(self, items: Sequence[int]) -> None:
        self.tried.append(len(items))
        if len(items) > self.size:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        self.done += items


def test_a_batch_is_halved_until_there_is_room_for_it_and_stays_so() -> None:
    room, said = Room(3), io.StringIO()
    in_batches(range(20), 8, room.compute, said.write)
    assert room.done == [*range(20)]
    assert room.tried == [8, 4, *[2] * 10]
    assert said.getvalue().count("the GPU's memory ran out: ") == 2
    assert "2 utterances at a time from here on" in said.getvalue()


def test_where_there_is_room_nothing_is_said() -> None:
    room, said = Room(8), io.StringIO()
    in_batches(range(9), 8, room.compute, said.write)
    assert room.tried == [8, 1]
    assert not said.getvalue()


def test_no_room_for_one_is_one_line() -> None:
    with pytest.raises(BuildError, match=r"no room for one utterance: CUDA out of memory\.$"):
        in_batches(range(3), 2, Room(0).compute, io.StringIO().write)


def test_a_teacher_in_bfloat16_says_what_it_says_in_float32() -> None:
    names = label_names(read_manifest(BUNDLE))
    texts = ["what is my checking account balance", "set a timer for ten minutes", "tell me a joke"]
    counted: list[int] = []
    exact = Teacher(BUNDLE, names, "cpu").answers(texts, counted.append, with_states=True)
    rounded = Teacher(BUNDLE, names, "cpu", torch.bfloat16).answers(texts, counted.append, with_states=True)
    assert counted == [3, 3]
    assert exact.states is not None
    assert rounded.states is not None
    assert exact.states.shape == rounded.states.shape == (3, 320)
    assert (exact.probabilities.argmax(axis=1) == rounded.probabilities.argmax(axis=1)).all()
    assert 0 < np.abs(exact.probabilities - rounded.probabilities).max() < 0.05


@pytest.mark.parametrize(
    ("size", "device", "dtype"),
    [(10, "cuda", torch.float32), (2_000_000_000, "cpu", torch.float32), (2_000_000_000, "cuda", torch.bfloat16)],
)
def test_a_large_teacher_on_a_gpu_computes_in_bfloat16(
    tmp_path: Path, size: int, device: str, dtype: torch.dtype
) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(size)  # a hole: takes no room on the disk
    assert teaching_dtype(tmp_path, device) == dtype
