"""Bundles: a good one loads as its manifest says, and every kind of damage is refused by file and reason."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_server.bundle import Bundle, BundleError, load_bundle
from support.bundles import (
    Manifest,
    copy_bundle,
    edit_config,
    edit_manifest,
    read_manifest,
    replace_file,
    write_manifest,
)

Damage = Callable[[Path], object]


def weights_file(path: Path) -> Path:
    return next(path.glob("*.safetensors"))


def flip_a_byte(path: Path) -> None:
    file = weights_file(path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def drop_entry(manifest: Manifest, ending: str) -> None:
    kept = [entry for entry in manifest.files if not entry.path.endswith(ending)]
    del manifest.files[:]
    manifest.files.extend(kept)


def drop_a_label(manifest: Manifest) -> None:
    """Takes the last row's label out of the manifest, and all that the manifest says of it."""
    if manifest.label_set.HasField("out_of_scope"):
        manifest.label_set.ClearField("out_of_scope")
    else:
        del manifest.label_set.intents[-1]
    if manifest.head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS:
        del manifest.head.code_token_ids[-1]
    names = [intent.name for intent in manifest.label_set.intents]
    for golden in manifest.golden_vectors:
        del golden.probabilities[-1]
        golden.intent = max(zip(golden.probabilities, names, strict=True))[1]


def swap_unexampled_labels(manifest: Manifest) -> None:
    """Swaps two intents that no golden vector is an example of."""
    examples = {golden.intent for golden in manifest.golden_vectors}
    first, second = [intent for intent in manifest.label_set.intents if intent.name not in examples][:2]
    first.name, second.name = second.name, first.name


def disown(manifest: Manifest, part: str) -> None:
    """Says of the files with `part` in their names that they change no answers."""
    for entry in manifest.files:
        entry.affects_answers &= part not in entry.path


def with_text(manifest_text: Callable[[str], str]) -> Damage:
    def damage(path: Path) -> None:
        file = path / "bundle.json"
        file.write_text(manifest_text(file.read_text(encoding="utf-8")), encoding="utf-8")

    return damage


def with_key(name: str, value: object) -> Damage:
    def rewritten(text: str) -> str:
        return json.dumps({**json.loads(text), name: value})

    return with_text(rewritten)


def manifest_with(edit: Callable[[Manifest], object], *, seal: bool = True) -> Damage:
    return lambda path: edit_manifest(path, edit, seal=seal)


def listing(name: str) -> Damage:
    return manifest_with(lambda m: m.files.add(path=name, size=1, sha256="0" * 64))


def list_a_folder(path: Path) -> None:
    (path / "folder").mkdir()
    listing("folder")(path)


def swap_labels(manifest: Manifest) -> None:
    first, likeliest = manifest.label_set.intents[0], manifest.golden_vectors[0].intent
    other = next(
        intent for intent in manifest.label_set.intents if (intent.name == likeliest) != (first.name == likeliest)
    )
    first.name, other.name = other.name, first.name


def calibration(**values: float) -> Damage:
    def edit(manifest: Manifest) -> None:
        for name, value in values.items():
            setattr(manifest.calibration, name, value)

    return manifest_with(edit)


def head_of(rows: int) -> Damage:
    content = save({"score.weight": np.zeros((rows, 4), dtype=np.float32)})
    return lambda path: replace_file(path, weights_file(path).name, content)


# What is done to a good bundle, the file that must be named, and a word of the reason.
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "no manifest": (lambda p: (p / "bundle.json").unlink(), "bundle.json", "missing"),
    "manifest is no JSON": (with_text(lambda text: text[:-10]), "bundle.json", "unreadable"),
    "manifest is no text": (lambda p: (p / "bundle.json").write_bytes(b"\xff\xfe{}"), "bundle.json", "unreadable"),
    "manifest is a list": (with_text(lambda _: "[]"), "bundle.json", "format_version"),
    "no format version": (with_text(lambda _: "{}"), "bundle.json", "format_version"),
    "later format version": (with_key("format_version", 2), "bundle.json", "later"),
    "unknown key": (with_key("colour", "blue"), "bundle.json", "no bundle manifest"),
    "key of another kind": (with_key("files", "all of them"), "bundle.json", "no bundle manifest"),
    "no config": (lambda p: (p / "config.json").unlink(), "config.json", "missing"),
    "no tokenizer": (lambda p: (p / "tokenizer.json").unlink(), "tokenizer.json", "missing"),
    "no weights": (lambda p: weights_file(p).unlink(), ".safetensors", "missing"),
    "one byte of the weights": (flip_a_byte, ".safetensors", "SHA-256"),
    "size": (lambda p: (p / "tokenizer.json").open("a").write(" "), "tokenizer.json", "bytes"),
    "a file more": (lambda p: (p / "extra.py").write_text("boom"), "extra.py", "not in the manifest"),
    "a folder more": (
        lambda p: copy_bundle(p, p / "code"),
        "code/bundle.json",
        "not in the manifest",
    ),
    "config not listed": (manifest_with(lambda m: drop_entry(m, "config.json")), "config.json", "not in the manifest"),
    "weights not listed": (manifest_with(lambda m: drop_entry(m, ".safetensors")), "bundle.json", "safetensors"),
    "path to a parent": (listing("../secret"), "bundle.json", "leaves the bundle"),
    "path within and out": (listing("a/../../secret"), "bundle.json", "leaves the bundle"),
    "absolute path": (listing("/etc/hostname"), "bundle.json", "leaves the bundle"),
    "empty path": (listing(""), "bundle.json", "leaves the bundle"),
    "path with a zero byte": (listing("a\0b"), "bundle.json", "leaves the bundle"),
    "a folder listed as a file": (list_a_folder, "folder", "bytes"),
    "revision": (
        manifest_with(lambda m: setattr(m.calibration, "temperature", m.calibration.temperature + 1), seal=False),
        "bundle.json",
        "revision",
    ),
    "one intent": (manifest_with(lambda m: m.label_set.intents.__delitem__(slice(1, None))), "bundle.json", "two"),
    "intent twice": (
        manifest_with(lambda m: setattr(m.label_set.intents[1], "name", m.label_set.intents[0].name)),
        "bundle.json",
        "repeats",
    ),
    "intent without a name": (
        manifest_with(lambda m: setattr(m.label_set.intents[0], "name", "")),
        "bundle.json",
        "empty",
    ),
    "a label too few": (manifest_with(drop_a_label), "config.json", "labels"),
    "labels in another order than the config's": (manifest_with(swap_unexampled_labels), "config.json", "names row"),
    "weights that are said to change nothing": (
        manifest_with(lambda m: disown(m, "safetensors")),
        ".safetensors",
        "changes answers",
    ),
    "a tokenizer that is said to change nothing": (
        manifest_with(lambda m: disown(m, "tokenizer.json")),
        "tokenizer.json",
        "changes answers",
    ),
    "more tokens than positions": (
        manifest_with(lambda m: setattr(m.limits, "max_input_tokens", 1_000_000)),
        "config.json",
        "positions",
    ),
    "labels of the config": (lambda p: edit_config(p, id2label={"0": "a", "1": "b"}), "config.json", "labels"),
    "a head of other size": (head_of(3), "bundle.json", "score.weight"),
    "no head": (
        lambda p: replace_file(p, weights_file(p).name, save({"x": np.zeros(1)})),
        "bundle.json",
        "score.weight",
    ),
    "weights that are none": (
        lambda p: replace_file(p, weights_file(p).name, b"x" * 100),
        ".safetensors",
        "no safetensors",
    ),
    "no head kind": (manifest_with(lambda m: m.ClearField("head")), "bundle.json", "head kind"),
    "code tokens": (
        manifest_with(
            lambda m: m.head.MergeFrom(bundle_pb2.Head(kind=bundle_pb2.HEAD_KIND_CODE_TOKENS, code_token_ids=[7]))
        ),
        "bundle.json",
        "code tokens",
    ),
    "temperature 0": (calibration(temperature=0.0), "bundle.json", "temperature"),
    "temperature below 0": (calibration(temperature=-1.0), "bundle.json", "temperature"),
    "temperature NaN": (calibration(temperature=math.nan), "bundle.json", "temperature"),
    "temperature infinite": (calibration(temperature=math.inf), "bundle.json", "temperature"),
    "threshold NaN": (calibration(out_of_scope_threshold=math.nan), "bundle.json", "threshold"),
    "margin NaN": (calibration(ambiguity_margin=math.nan), "bundle.json", "margin"),
    "margin below 0": (calibration(ambiguity_margin=-0.1), "bundle.json", "margin"),
    "no out-of-scope score": (
        manifest_with(lambda m: m.calibration.ClearField("out_of_scope_score")),
        "bundle.json",
        "out-of-scope score",
    ),
    "no token limit": (manifest_with(lambda m: m.limits.ClearField("max_input_tokens")), "bundle.json", "max_input"),
    "limit below 0": (manifest_with(lambda m: setattr(m.limits, "max_context_turns", -1)), "bundle.json", "limit"),
    "name that is no resource name": (manifest_with(lambda m: setattr(m, "name", "A/b")), "bundle.json", "name"),
    "no golden vectors": (manifest_with(lambda m: m.ClearField("golden_vectors")), "bundle.json", "golden"),
    "golden vector cut": (manifest_with(lambda m: m.golden_vectors[0].probabilities.pop()), "bundle.json", "golden"),
    "golden vector of another intent": (
        manifest_with(lambda m: setattr(m.golden_vectors[0], "intent", "nothing")),
        "bundle.json",
        "golden",
    ),
    "labels in another order": (manifest_with(swap_labels), "bundle.json", "golden"),
    "golden vector of other tokens": (
        manifest_with(lambda m: m.golden_vectors[0].token_ids.append(1)),
        "bundle.json",
        "token ids",
    ),
    "golden vector too long": (
        manifest_with(lambda m: setattr(m.golden_vectors[0], "text", "wake me " * 10_000)),
        "bundle.json",
        "golden",
    ),
    "another prompt": (manifest_with(lambda m: setattr(m.prompt, "suffix", "?")), "bundle.json", "token ids"),
    "code in the bundle": (lambda p: edit_config(p, auto_map={"AutoModel": "a.B"}), "config.json", "auto_map"),
    "another architecture": (
        lambda p: edit_config(p, architectures=["Qwen2ForCausalLM"]),
        "config.json",
        "sequence classifier",
    ),
    "config is no JSON": (lambda p: replace_file(p, "config.json", b"{"), "config.json", "unreadable"),
    "config is a list": (lambda p: replace_file(p, "config.json", b"[]"), "config.json", "unreadable"),
    "tokenizer is none": (lambda p: replace_file(p, "tokenizer.json", b"{}"), "tokenizer.json", "no tokenizer"),
    "a prefix longer than the limit": (
        manifest_with(lambda m: setattr(m.limits, "max_input_tokens", 3)),
        "bundle.json",
        "no room",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_by_file_and_reason(bundle_path: Path, tmp_path: Path, name: str) -> None:
    damage, file, reason = DAMAGES[name]
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    damage(copy)

    with pytest.raises(BundleError) as caught:
        load_bundle(copy)

    assert caught.value.file.endswith(file)
    assert reason in caught.value.reason
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_bundle(tmp_path / "nothing")


def test_a_good_bundle_loads_as_its_manifest_says(bundle: Bundle, bundle_path: Path) -> None:
    manifest, model = read_manifest(bundle_path), bundle.model

    assert bundle.manifest == manifest
    assert (model.name, model.revision) == (manifest.name, manifest.revision)
    assert model.intents == tuple(intent.name for intent in manifest.label_set.intents)
    assert model.labels == len(model.intents) + manifest.label_set.HasField("out_of_scope")
    assert model.calibration.temperature == manifest.calibration.temperature
    assert model.calibration.out_of_scope_threshold == manifest.calibration.out_of_scope_threshold
    assert model.prompt.prefix == manifest.prompt.prefix
    assert [golden.text for golden in model.golden_vectors] == [golden.text for golden in manifest.golden_vectors]


def test_a_copied_and_rewritten_bundle_still_loads(bundle: Bundle, bundle_path: Path, tmp_path: Path) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    write_manifest(copy, read_manifest(copy))

    assert load_bundle(copy).model == bundle.model


def test_what_changes_no_answer_changes_no_revision(bundle: Bundle, bundle_path: Path, tmp_path: Path) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    edit_manifest(copy, lambda m: m.evaluations.add(dataset="another", accuracy=0.5))
    edit_manifest(copy, lambda m: setattr(m.origin, "base_model", "another"))

    assert load_bundle(copy).model.revision == bundle.model.revision


def test_hidden_files_are_nobody_s_business(bundle_path: Path, tmp_path: Path) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    (copy / ".DS_Store").write_text("x")

    assert load_bundle(copy).path == copy


def test_truncation_that_a_tokenizer_file_brings_is_not_obeyed(
    bundle: Bundle, bundle_path: Path, tmp_path: Path
) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "copy")
    content = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    content["truncation"] = {"direction": "Right", "max_length": 300, "strategy": "LongestFirst", "stride": 0}
    replace_file(copy, "tokenizer.json", json.dumps(content, ensure_ascii=False).encode())
    text = "wake me up at seven " * 100

    assert load_bundle(copy).encoder.encode(text).token_ids == bundle.encoder.encode(text).token_ids


def test_wording_changes_no_revision_and_meaning_does(bundle_path: Path) -> None:
    manifest = read_manifest(bundle_path)
    manifest.calibration.fitted_on = "other words"
    manifest.label_set.intents[0].description = "other words"
    manifest.calibration.operating_points[0].rule = "other words"
    assert compute_revision(manifest) == manifest.revision
    manifest.label_set.intents[0].name = "another"
    assert compute_revision(manifest) != manifest.revision
