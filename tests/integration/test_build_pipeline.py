"""From rows to a bundle: a toy recipe goes the whole way on the CPU, and the committed bundles are what they say."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from intently.v1.revision import compute_revision
from intently_build.bundles.manifest import manifest_layout, read_manifest
from intently_build.bundles.seal import SEAL
from intently_build.bundles.verify import verify
from intently_build.calibration import probabilities
from intently_build.cli import main
from intently_build.prompt import PromptEncoder, Speaker, Turn
from intently_build.recipe import parse_recipe
from intently_build.reference import load_classifier, prompt_logits
from intently_build.rows import file_sha256

BUILD = Path(__file__).parents[2] / "build_model"
BUNDLES = [BUILD / "bundles" / name for name in ("mini-clinc150", "mini-massive-zh", "mini-banking77")]
# TF-IDF and a linear support vector machine on the same test rows; of BANKING77, whose test rows are kept elsewhere,
# what is asked of the merged model on the validation rows.
LEAST_ACCURACY = {"mini-clinc150": 0.923, "mini-massive-zh": 0.823, "mini-banking77": 0.88}
INTENTS = ("timer", "weather", "translate", "balance")
EPOCHS = 20
LARGEST = 8_500_000  # bytes
LONGEST_START = 120.0  # seconds


def few_rows(source: Path, target: Path, intents: tuple[str, ...], each: int) -> None:
    """Writes the first rows of each intent."""
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    chosen = [row for intent in intents for row in [row for row in rows if row["intent"] == intent][:each]]
    target.write_text("".join(json.dumps(row) + "\n" for row in chosen))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe for four intents of CLINC150 and out of scope, small enough to be trained in seconds."""
    folder = tmp_path_factory.mktemp("toy")
    source = BUILD / "data" / "clinc150"
    for split, each in (("train", 24), ("validation", 10), ("test", 5)):
        few_rows(source / f"{split}.jsonl", folder / f"{split}.jsonl", INTENTS, each)
        few_rows(source / f"oos_{split}.jsonl", folder / f"oos_{split}.jsonl", ("oos",), each)
    labels = json.loads((source / "labels.json").read_text())
    chosen = [label for label in labels if label["intent"] in (*INTENTS, "oos")]
    (folder / "labels.json").write_text(json.dumps(chosen))
    for name in ("LICENSE", "SOURCE.md"):
        shutil.copyfile(source / name, folder / name)
    content = yaml.safe_load((BUILD / "recipes" / "clinc150-scratch.yaml").read_text())
    content["name"] = "toy"
    content["data"]["folder"] = "."
    content["tokenizer"]["vocab_size"] = 320
    content["model"] = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 2, "kv_heads": 1}
    content["data"]["out_of_scope"]["repeat"] = 1
    content["training"] |= {"seed": 1, "epochs": EPOCHS, "batch_size": 16, "learning_rate": 0.005}
    content["training"] |= {"dropout": 0.0, "consistency": 0.0, "noise": {"context": 0.1}}
    content["prompt"]["prefix"] = "<|im_start|>timer, weather, translate or balance?" * 9
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    """A complete run whose first process was killed after its second checkpoint."""
    folder = recipe.parent / "run"
    command = [sys.executable, "-m", "intently_build.cli", "train", str(recipe), "--output", str(folder)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # more only wait for each other on a model this small
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL, env=one_thread)
    until = time.monotonic() + LONGEST_START
    while not (folder / "checkpoints").is_dir() or len(list(folder.glob("checkpoints/*/trainer_state.json"))) < 2:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "model").exists()
    again = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=False, env=one_thread)
    assert again.returncode == 0, again.stderr
    assert "going on from" in again.stdout
    assert f"epoch {EPOCHS}" in again.stdout
    assert "epoch 1 " not in again.stdout
    return folder


@pytest.fixture(scope="module")
def bundle(recipe: Path, run: Path) -> Path:
    folder = recipe.parent / "bundles" / "toy"
    assert main(["package", str(recipe), "--run", str(run), "--output", str(folder)]) == 0
    return folder


def test_a_killed_training_ends_with_a_model_that_has_learnt(run: Path) -> None:
    summary = json.loads((run / "model" / "training.json").read_text())
    assert summary["validation_accuracy"] > 0.6  # of four intents; 0.25 is chance
    assert summary["steps"] == EPOCHS * -(-(24 * 5) // 16)


def test_a_complete_run_is_not_trained_again(recipe: Path, run: Path) -> None:
    before = (run / "model" / "model.safetensors").stat().st_mtime_ns
    assert main(["train", str(recipe), "--output", str(run), "--device", "cpu"]) == 0
    assert (run / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_a_bundle_is_not_written_over_unasked(recipe: Path, run: Path, bundle: Path) -> None:
    before = (bundle / "bundle.json").read_bytes()
    arguments = ["package", str(recipe), "--run", str(run), "--output", str(bundle)]
    assert main(arguments) == 2
    assert (bundle / "bundle.json").read_bytes() == before
    assert main([*arguments, "--replace"]) == 0
    assert [path.name for path in bundle.parent.iterdir()] == ["toy"]


def test_a_run_of_another_recipe_is_refused(
    recipe: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = recipe.with_name("other.yaml")
    other.write_text(recipe.read_text().replace("seed: 1", "seed: 2"))
    assert main(["package", str(other), "--run", str(run), "--output", str(tmp_path / "out")]) == 2
    assert "made from another training fingerprint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluating_breaks_no_pin(bundle: Path) -> None:
    revision = read_manifest(bundle).revision
    arguments = ["evaluate", str(bundle), "--data", str(bundle.parents[1]), "--engine", "transformers", "--write"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    manifest = read_manifest(bundle)
    assert manifest.revision == revision == compute_revision(manifest)
    assert verify(bundle) == []
    assert [(found.dataset, found.split) for found in manifest.evaluations] == [("clinc150", "test")]
    evaluation = manifest.evaluations[0]
    assert (evaluation.in_scope_rows, evaluation.out_of_scope_rows) == (20, 5)
    assert [point.name for point in evaluation.operating_points] == ["keep-99", "keep-95", "balanced"]
    assert all(point.HasField("out_of_scope_recall") for point in evaluation.operating_points)


def check_files(folder: Path) -> None:
    """Every file is listed with its checksum, and only notices do not change answers."""
    manifest = read_manifest(folder)
    assert verify(folder) == []
    listed = {file.path: (file.size, file.sha256) for file in manifest.files}
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("bundle.json", SEAL)]
    assert listed == {path.relative_to(folder).as_posix(): (path.stat().st_size, file_sha256(path)) for path in found}
    assert all(file.affects_answers != file.path.startswith("notices/") for file in manifest.files)
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in found)
    assert manifest.revision == compute_revision(manifest)


def check_golden_vectors(folder: Path) -> None:
    """transformers gives the golden vectors again, from nothing but the bundle."""
    manifest = read_manifest(folder)
    encoder = PromptEncoder(folder / "tokenizer.json", manifest_layout(manifest.prompt))
    classifier = load_classifier(folder)
    assert len(encoder.prefix_ids) > 128
    assert any(vector.context for vector in manifest.golden_vectors)
    for vector in manifest.golden_vectors:
        context = [Turn((Speaker.USER, Speaker.ASSISTANT)[turn.role - 1], turn.text) for turn in vector.context]
        assert encoder.encode(vector.text, context) == list(vector.token_ids)
        logits = prompt_logits(classifier, vector.token_ids)
        answer = probabilities(logits, manifest.calibration.temperature)
        assert vector.probabilities == pytest.approx(answer, abs=1e-5)
        best = int(np.argmax(answer[: len(manifest.label_set.intents)]))
        assert vector.intent == manifest.label_set.intents[best].name


def check_labels(folder: Path) -> None:
    """The checkpoint's own labels are the manifest's, out of scope last."""
    manifest = read_manifest(folder)
    config = json.loads((folder / "config.json").read_text())
    names = [intent.name for intent in manifest.label_set.intents]
    if manifest.label_set.HasField("out_of_scope"):
        names.append(manifest.label_set.out_of_scope.name)
    assert [config["id2label"][str(row)] for row in range(len(names))] == names
    assert config["architectures"] == ["Qwen2ForSequenceClassification"]
    assert len(manifest.head.code_token_ids) == len(set(manifest.head.code_token_ids)) == len(names)


def test_the_toy_bundle_is_what_it_says(bundle: Path) -> None:
    check_files(bundle)
    check_labels(bundle)
    check_golden_vectors(bundle)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: path.name)
def test_a_committed_bundle_is_what_it_says(folder: Path) -> None:
    check_files(folder)
    check_labels(folder)
    check_golden_vectors(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: path.name)
def test_a_committed_bundle_is_its_recipes_and_meets_the_targets(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.origin.recipe == (BUILD / "recipes" / f"{folder.name}.yaml").read_text(encoding="utf-8")
    assert manifest.origin.parameters <= 4_000_000
    recipe = parse_recipe(manifest.origin.recipe, folder.name)
    sources = [(each.name, each.folder) for each in recipe.earlier_data]
    sources.append((recipe.data.name, recipe.data.folder))
    folders = {name: BUILD / path.removeprefix("../") for name, path in sources}
    for source in manifest.origin.data:
        name, _, file = source.name.partition("/")
        assert source.sha256 == file_sha256(folders[name] / file)
    split = "test" if recipe.data.test else "validation"
    (found,) = [found for found in manifest.evaluations if found.split == split and "server" in found.engine]
    assert found.accuracy >= LEAST_ACCURACY[folder.name]
    assert found.ece <= max(0.03, found.ece_perfect_p95)


@pytest.mark.engine
def test_evaluating_drives_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "mini-clinc150"
    shutil.copytree(BUNDLES[0], folder)
    source = BUILD / "data" / "clinc150"
    shutil.copyfile(source / "labels.json", tmp_path / "labels.json")
    few_rows(source / "test.jsonl", tmp_path / "test.jsonl", INTENTS, 5)
    few_rows(source / "oos_test.jsonl", tmp_path / "oos_test.jsonl", ("oos",), 5)
    for engine in ("server", "transformers"):
        arguments = ["evaluate", str(folder), "--data", str(tmp_path), "--engine", engine, "--write"]
        assert main([*arguments, "--dtype", "float32"]) == 0
    served, reference = read_manifest(folder).evaluations[-2:]
    assert served.engine.startswith("intently-server vllm")
    assert (served.in_scope_rows, served.out_of_scope_rows) == (20, 5)
    assert served.accuracy == reference.accuracy
    assert served.ece == pytest.approx(reference.ece, abs=1e-4)


@pytest.mark.engine
def test_a_server_that_does_not_start_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mini-clinc150"
    shutil.copytree(BUNDLES[0], folder)
    (folder / "config.json").write_text("{}")
    assert main(["evaluate", str(folder), "--data", str(BUILD / "data" / "clinc150")]) == 2
    assert "intently-server ended with exit code 2" in capsys.readouterr().err
