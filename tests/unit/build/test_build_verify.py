"""Verifying a bundle: any flipped byte is found, and every kind of damage gets one line that names the file."""

import hashlib
import json
import math
import os
import resource
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from intently.v1.revision import compute_revision
from intently_build.bundles.manifest import MANIFEST, read_manifest, write_manifest
from intently_build.bundles.seal import SEAL
from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.errors import BuildError
from support.bundles import Manifest, copy_bundle
from support.paths import BUNDLE, ROOT

Damage = Callable[[Path], object]
BUNDLES = sorted(path.parent for path in (ROOT / "build_model" / "bundles").glob("*/bundle.json"))
NAMES = sorted(path.relative_to(BUNDLE).as_posix() for path in BUNDLE.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in which a test may flip a byte, if it flips it back."""
    return copy_bundle(BUNDLE, tmp_path_factory.mktemp("flipped") / "bundle")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return copy_bundle(BUNDLE, tmp_path / "bundle")


def flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_committed_bundle_is_sound(bundle: Path) -> None:
    assert verify(bundle) == []


@settings(max_examples=100)
@given(name=st.sampled_from(NAMES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_byte_is_found(flipped: Path, name: str, place: float, bit: int) -> None:
    offset = int(place * (flipped / name).stat().st_size)
    flip(flipped / name, offset, bit)
    try:
        faults = verify(flipped)
    finally:
        flip(flipped / name, offset, bit)
    assert {SEAL if name == MANIFEST else name} <= {fault.file for fault in faults}
    assert all("\n" not in str(fault) for fault in faults)


@settings(max_examples=100)
@given(data=st.data())
def test_any_flipped_byte_of_the_manifest_is_found(flipped: Path, data: st.DataObject) -> None:
    """Weights and words alike: what the revision does not cover, the seal does."""
    path = flipped / MANIFEST
    offset, bit = data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(0, 7))
    flip(path, offset, bit)
    try:
        assert verify(flipped) != []
    finally:
        flip(path, offset, bit)


@settings(max_examples=20)
@given(name=st.sampled_from(NAMES), cut=st.integers(1, 64))
def test_a_file_cut_short_or_grown_is_found(flipped: Path, name: str, cut: int) -> None:
    path = flipped / name
    whole = path.read_bytes()
    for content in (whole[:-cut], whole + b"\n" * cut):
        path.write_bytes(content)
        try:
            assert verify(flipped) != []
        finally:
            path.write_bytes(whole)


def sealed(edit: Callable[[Manifest], object]) -> Damage:
    """Edits the manifest, and makes revision and seal match: only its meaning is wrong."""

    def damage(path: Path) -> None:
        manifest = read_manifest(path)
        edit(manifest)
        manifest.revision = compute_revision(manifest)
        write_manifest(path, manifest)

    return damage


def replaced(name: str, content: bytes) -> Damage:
    """Writes a file, and makes the manifest match."""

    def damage(path: Path) -> None:
        (path / name).write_bytes(content)

        def relist(manifest: Manifest) -> None:
            entry = next((file for file in manifest.files if file.path == name), None) or manifest.files.add(path=name)
            entry.size, entry.sha256 = len(content), hashlib.sha256(content).hexdigest()
            entry.affects_answers = True

        sealed(relist)(path)

    return damage


def configured(**changes: object) -> Damage:
    def damage(path: Path) -> None:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        replaced("config.json", json.dumps(config | changes).encode())(path)

    return damage


def unlisted(name: str) -> Callable[[Manifest], object]:
    def edit(manifest: Manifest) -> None:
        kept = [file for file in manifest.files if not file.path.startswith(name)]
        del manifest.files[:]
        manifest.files.extend(kept)

    return edit


def linked_out(path: Path) -> None:
    """A file with the right bytes that lies elsewhere."""
    (path / "config.json").rename(path.parent / "config.json")
    (path / "config.json").symlink_to(path.parent / "config.json")


def folder_linked_out(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    (path / "more").symlink_to(path.parent / "elsewhere")


def piped(path: Path) -> None:
    """Whoever opened it would wait for ever."""
    (path / "config.json").unlink()
    os.mkfifo(path / "config.json")


def named(path: Path) -> None:
    (path / "an\nhonest: sound\x1b[2J").write_text("x")


def swap_first_two(manifest: Manifest) -> None:
    first, second = manifest.label_set.intents[:2]
    first.name, second.name = second.name, first.name


def of(name: str, value: object) -> Damage:
    """Sets a field, given by its dotted path, to a value."""

    def edit(manifest: Manifest) -> None:
        *parents, field = name.split(".")
        message: object = manifest
        for parent in parents:
            message = message[int(parent)] if parent.isdecimal() else getattr(message, parent)  # type: ignore[index]
        setattr(message, field, value)

    return sealed(edit)


# What is done to a sound bundle, the file that must be named, and words of the reason.
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "a file gone": (lambda p: (p / "tokenizer.json").unlink(), "tokenizer.json", "missing"),
    "a notice gone": (lambda p: (p / "notices" / "LICENSE").unlink(), "notices/LICENSE", "missing"),
    "a file more": (lambda p: (p / "extra.txt").write_text("x"), "extra.txt", "is not in the manifest"),
    "a hidden file more": (lambda p: (p / ".extra").write_text("x"), ".extra", "is not in the manifest"),
    "a file that forges lines": (named, "an\\nhonest: sound\\x1b[2J", "is not in the manifest"),
    "a link to itself": (lambda p: (p / "pipe").symlink_to("pipe"), "pipe", "is not in the manifest"),
    "a pipe for a file": (piped, "config.json", "is no plain file"),
    "a link out": (linked_out, "config.json", "links out of the bundle"),
    "a folder linked out": (folder_linked_out, "more", "links out of the bundle"),
    "code, listed": (replaced("modeling.py", b"boom"), "modeling.py", "may run code"),
    "a pickle, listed": (replaced("pytorch_model.bin", b"boom"), "pytorch_model.bin", "may run code"),
    "a path out": (sealed(lambda m: m.files.add(path="../x", sha256="0" * 64)), MANIFEST, "leaves the bundle"),
    "a file listed twice": (sealed(lambda m: m.files.append(m.files[0])), MANIFEST, "2 times"),
    "no config listed": (sealed(unlisted("config.json")), MANIFEST, "does not list config.json"),
    "no weights listed": (sealed(unlisted("model")), MANIFEST, "lists no *.safetensors file"),
    "no notices listed": (sealed(unlisted("notices")), MANIFEST, "no licence"),
    "weights that change nothing": (of("files.1.affects_answers", False), MANIFEST, "does not change answers"),
    "no seal": (lambda p: (p / SEAL).unlink(), SEAL, "missing"),
    "a seal of something else": (lambda p: (p / SEAL).write_text("0" * 64), SEAL, "is not the SHA-256"),
    "a manifest cut": (lambda p: (p / MANIFEST).write_text("{"), MANIFEST, "not a manifest"),
    "a manifest that is no text": (lambda p: (p / MANIFEST).write_bytes(b"\xff"), MANIFEST, "cannot read"),
    "a revision of other content": (
        lambda p: write_manifest(p, Manifest(revision="0" * 64)),
        MANIFEST,
        "is not that of the content",
    ),
    "a later format": (of("format_version", 2), MANIFEST, "format_version is 2"),
    "a name of capitals": (of("name", "A/b"), MANIFEST, "name is not"),
    "an intent twice": (of("label_set.intents.0.name", "alarm"), MANIFEST, "twice"),
    "out of scope named as an intent": (of("label_set.out_of_scope.name", "alarm"), MANIFEST, "twice"),
    "no head": (sealed(lambda m: m.ClearField("head")), MANIFEST, "head has no kind"),
    "a code token twice": (
        sealed(lambda m: m.head.code_token_ids.__setitem__(0, m.head.code_token_ids[1])),
        MANIFEST,
        "code token twice",
    ),
    "a code token outside": (
        sealed(lambda m: m.head.code_token_ids.__setitem__(0, 9999)),
        "config.json",
        "code token outside",
    ),
    "temperature NaN": (of("calibration.temperature", math.nan), MANIFEST, "temperature"),
    "threshold NaN": (of("calibration.out_of_scope_threshold", math.nan), MANIFEST, "threshold"),
    "an operating point twice": (of("calibration.operating_points.0.name", "balanced"), MANIFEST, "repeats a name"),
    "no limit": (of("limits.max_input_tokens", 0), MANIFEST, "max_input_tokens"),
    "no golden vectors": (sealed(lambda m: m.ClearField("golden_vectors")), MANIFEST, "golden_vectors is empty"),
    "golden probabilities": (
        sealed(lambda m: m.golden_vectors[0].probabilities.__setitem__(0, 0.5)),
        MANIFEST,
        "probabilities that are none",
    ),
    "a golden intent": (of("golden_vectors.0.intent", "alarm"), MANIFEST, "not its likeliest"),
    "golden tokens": (sealed(lambda m: m.golden_vectors[0].token_ids.append(1)), MANIFEST, "other token ids"),
    "another prompt": (of("prompt.suffix", "?"), MANIFEST, "other token ids"),
    "another recipe": (of("origin.recipe", "name: x"), MANIFEST, "recipe_sha256"),
    "no licence": (of("origin.data.0.license", ""), MANIFEST, "no licence"),
    "an accuracy over 1": (of("evaluations.0.accuracy", 91.4), MANIFEST, "between 0 and 1"),
    "an accuracy NaN": (of("evaluations.0.accuracy", math.nan), MANIFEST, "between 0 and 1"),
    "labels in another order": (sealed(swap_first_two), "config.json", "id2label"),
    "code in the config": (configured(auto_map={"AutoModel": "a.B"}), "config.json", "auto_map"),
    "another architecture": (configured(architectures=["Qwen2Model"]), "config.json", "no sequence classifier"),
    "few positions": (configured(max_position_embeddings=8), "config.json", "positions"),
    "quantized in secret": (configured(quantization_config={}), "config.json", "quantization.method"),
    "config is a list": (replaced("config.json", b"[]"), "config.json", "no JSON object"),
    "tokenizer is none": (replaced("tokenizer.json", b"{}"), "tokenizer.json", "is no tokenizer"),
    "weights that are none": (replaced("model.safetensors", b"x" * 99), "model.safetensors", "no safetensors"),
    "a head of other size": (
        replaced("model.safetensors", save({"score.weight": np.zeros((3, 4), dtype=np.float32)})),
        "model.safetensors",
        "has shape [3, 4]",
    ),
    "an index of other files": (
        replaced("model.safetensors.index.json", b'{"weight_map": {"score.weight": "other.safetensors"}}'),
        "model.safetensors.index.json",
        "places the tensors elsewhere",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_gets_a_line_that_names_the_file(copied: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    damage, file, reason = DAMAGES[name]
    damage(copied)

    assert main(["verify", str(copied)]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{copied}: {file}: ") and reason in line for line in lines), lines


def test_all_faults_are_told_at_once(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    (copied / "extra.txt").write_text("x")
    flip(copied / "model.safetensors", 1000, 0)

    assert [fault.file for fault in verify(copied)] == ["model.safetensors", "tokenizer.json", "extra.txt"]


def test_sound_bundles_end_with_0_and_the_worst_of_several_decides(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(BUNDLE)]) == 0
    assert "sound: 17 files" in capsys.readouterr().out
    flip(copied / "config.json", 0, 0)
    assert main(["verify", str(copied), str(BUNDLE)]) == 1
    assert main(["verify", str(copied), str(tmp_path), str(BUNDLE)]) == 2
    told = capsys.readouterr()
    assert told.err == f"intently-build: {tmp_path}: no bundle.json in it; is it a bundle?\n"
    assert [line for line in told.out.splitlines() if "sound" in line] != []


def test_a_seal_is_written_only_where_all_else_is_sound(copied: Path) -> None:
    seal = (copied / SEAL).read_bytes()
    (copied / SEAL).unlink()
    flip(copied / "config.json", 0, 0)
    assert main(["verify", "--seal", str(copied)]) == 1
    assert not (copied / SEAL).exists()
    flip(copied / "config.json", 0, 0)
    assert main(["verify", "--seal", str(copied)]) == 0
    assert (copied / SEAL).read_bytes() == seal
    (copied / SEAL).write_text("something else")
    assert main(["verify", "--seal", str(copied)]) == 1


def test_a_full_disk_leaves_the_bundle_as_it_was(copied: Path) -> None:
    """No file may grow beyond some bytes: what a full disk is to a writer."""
    before = {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    manifest = read_manifest(copied)
    manifest.evaluations.add(dataset="another")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(BuildError, match=r"cannot write bundle\.json and \.bundle\.sha256: File too large"):
            write_manifest(copied, manifest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()} == before


def test_golden_vectors_are_recomputed(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shift(manifest: Manifest) -> None:
        chances = manifest.golden_vectors[1].probabilities
        least, best = min(range(len(chances)), key=chances.__getitem__), max(chances)
        chances[least] += 2e-4
        chances[list(chances).index(best)] -= 2e-4

    sealed(shift)(copied)
    assert main(["verify", str(copied)]) == 0
    assert "(token ids recomputed)" in capsys.readouterr().out
    assert main(["verify", "--golden", str(copied)]) == 1
    (line,) = capsys.readouterr().out.splitlines()  # all others come out as they were
    assert "golden vector 1 has probabilities that differ by 0.0002" in line


@pytest.mark.skipif(find_spec("optimum") is not None, reason="what GPTQ needs in transformers is installed")
def test_golden_vectors_of_quantized_weights_need_no_tool_of_theirs(copied: Path) -> None:
    configured(quantization_config={"quant_method": "gptq", "bits": 4})(copied)
    of("quantization.method", "gptq")(copied)
    assert main(["verify", str(copied)]) == 0
    assert main(["verify", "--golden", str(copied)]) == 0
