"""`intently-build compare`: bundles in every format, killed and gone on with; what fails is a line, not the end."""

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from intently_build.bundles.manifest import read_manifest
from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.comparing.compare import Request, compare
from intently_build.comparing.compared import read_compared
from intently_build.comparing.machine import Machine
from intently_build.comparing.subject import subject_of_bundle
from intently_build.errors import BuildError
from intently_build.evaluation.answering import ServerAnswering
from intently_build.evaluation.dataset import Source
from intently_build.evaluation.server_process import RunningServer
from intently_build.quantizing.environment import VARIABLE
from support.in_memory_server import in_memory_server
from support.rounding_tool import tool_environment
from support.stopped_build import Builder, Point
from support.tiny_build import make_adapter, make_base, make_recipe

HERE = Machine("cpu", "CPU of a test", 1.0, None)
MADE = ("quantized/int8", "bundles/bf16", "bundles/int8")


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    builder = Builder()
    yield builder
    builder.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    make_adapter(make_base(folder / "base"), folder / "adapter", labels=3)
    adapter = {"base": "../base", "folder": "../adapter", "head": "trained"}
    return make_recipe(folder / "recipe", adapter=adapter)


@pytest.fixture(scope="module")
def run(builder: Builder, recipe: Path) -> Path:
    folder = recipe.parents[1] / "run"
    ended = builder.run(["run", str(recipe), "--output", str(folder)])
    assert ended.code == 0, ended.error
    return folder


@pytest.fixture(scope="module")
def tool(recipe: Path) -> Path:
    return tool_environment(recipe.parents[1] / "env")


def arguments(recipe: Path, run: Path, output: Path, formats: str) -> list[str]:
    rest = ["--run", str(run), "--output", str(output), "--formats", formats, "--engine", "transformers"]
    rest += ["--samples", "4"]
    return ["compare", str(recipe), *rest]


@pytest.fixture(scope="module")
def compared(builder: Builder, recipe: Path, run: Path, tool: Path) -> Path:
    """A comparison that was killed while a format was put in place, and while its bundle was; then gone on with."""
    output = recipe.parents[1] / "compared"
    asked = arguments(recipe, run, output, "all")
    for place in ("quantized", "bundles"):
        ended = builder.run(asked, Point("os.rename", f"{place}/.int8.partial", "kill"), INTENTLY_BUILD_ENV=str(tool))
        assert ended.code == -signal.SIGKILL, ended.error
        assert not (output / place / "int8").exists()
        assert not (output / "results.json").exists()
    ended = builder.run(asked, INTENTLY_BUILD_ENV=str(tool))
    assert ended.code == 0, ended.error
    assert ended.output.count("done before") == 3  # the head, bf16, and int8 quantized
    return output


def test_all_formats_end_in_the_results_measured_or_with_a_reason(compared: Path) -> None:
    found = read_compared(compared)
    assert [each.name for each in found.choices] == ["bf16", "int8"]
    assert {each.name for each in found.missing} == {"fp8", "gptq-int4", "autogptq-int4", "awq", "bnb-int8"}
    reasons = {each.name: each.reason for each in found.missing}
    assert "this tool cannot write awq" in reasons["awq"]
    assert "bitsandbytes is neither installed here nor in" in reasons["bnb-int8"]
    assert (found.split, found.in_scope_rows) == ("validation", 18)
    assert (found.machine.gpu, found.target, found.reference) == ("cpu", "cpu", "bf16")
    for each in found.choices:
        assert verify(compared / each.bundle) == []
        assert read_manifest(compared / each.bundle).revision == each.revision
    sizes = {each.name: each.bytes_on_disk for each in found.choices}
    assert sizes["int8"] < sizes["bf16"]
    assert {each.levels for each in found.choices} == {()}  # transformers says nothing of speed
    assert set(found.front) <= set(sizes)
    page = (compared / "report.html").read_text()
    for words in ("Measured on CPU", "awq was left out", "On the Pareto front", "Accuracy against size"):
        assert words in page
    assert [each["name"] for each in json.loads((compared / "report.json").read_text())["bundles"]] == list(sizes)


def test_a_comparison_that_is_done_makes_and_asks_nothing_again(
    builder: Builder, recipe: Path, run: Path, compared: Path, tool: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for name in MADE for path in (compared / name).rglob("*")}
    ended = builder.run(arguments(recipe, run, compared, "int8"), INTENTLY_BUILD_ENV=str(tool))
    assert ended.code == 0, ended.error
    assert ended.output.count("done before") == 4
    assert ended.output.count("answers kept from before") == 2
    assert {path: path.stat().st_mtime_ns for name in MADE for path in (compared / name).rglob("*")} == before
    assert not read_compared(compared).missing


def test_a_format_that_was_named_and_failed_ends_with_1(
    builder: Builder, recipe: Path, run: Path, compared: Path, tool: Path
) -> None:
    ended = builder.run(arguments(recipe, run, compared, "awq,int8"), INTENTLY_BUILD_ENV=str(tool))
    assert ended.code == 1
    assert "awq left out: awq: the tool ended with exit code 1: this tool cannot write awq" in ended.output
    assert [each.name for each in read_compared(compared).choices] == ["bf16", "int8"]


class Servers:
    """Serves bundles by the engine in memory; the one named `ill` refuses every call."""

    def __init__(self, folder: Path, ill: str) -> None:
        self.served: list[str] = []
        self._folder = folder
        self._ill = ill

    @contextlib.contextmanager
    def __call__(self, bundle: Path) -> Iterator[RunningServer]:
        self.served.append(bundle.name)
        ill = ("--fault", "unavailable", "--faulty-bundle", self._ill)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(
                VARIABLE, raising=False
            )  # a server refuses variables that it does not know; `serve` sees to it
            with in_memory_server(self._folder, *ill, bundle=bundle) as server:
                yield RunningServer(server.address, server.process.pid)


def request(recipe: Path, output: Path) -> Request:
    source = Source("validation", recipe=recipe)
    return Request(("int8",), None, output, None, source, (1, 2, 8), "auto", 1.0, samples=4)


def test_a_format_that_cannot_be_served_is_left_out_and_asked_again(
    tmp_path: Path, recipe: Path, run: Path, tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENTLY_BUILD_ENV", str(tool))
    subject = subject_of_bundle(recipe, run / "bundle")
    asked = request(recipe, tmp_path / "compared")
    ill, well = Servers(tmp_path, "int8"), Servers(tmp_path, "none")
    found = compare(asked, subject, ServerAnswering(ill, "auto", 8, (1, 2)), HERE, Console(quiet=True))
    assert ill.served == ["bf16", "int8"]
    assert [each.name for each in found.choices] == ["bf16"]
    assert [each.name for each in found.missing] == ["int8"]
    assert "UNAVAILABLE" in found.missing[0].reason
    again = compare(asked, subject, ServerAnswering(well, "auto", 8, (1, 2)), HERE, Console(quiet=True))
    assert well.served == ["int8"]
    assert [each.name for each in again.choices] == ["bf16", "int8"]
    assert again.choices[:1] == found.choices
    for each in again.choices:
        assert [(level.in_flight, level.calls) for level in each.levels] == [(1, 4), (2, 4), (8, 10)]
        assert (each.memory_bytes or 0) > 10 * 2**20
        assert each.accuracy_lost == 0  # the engine in memory answers both alike
    assert main(["choose", str(asked.output), "--memory", "64", "--p99-ms", "60000"]) == 0
    assert main(["choose", str(asked.output), "--gpu", "h200"]) == 2


def test_without_the_reference_there_is_nothing_to_compare(
    tmp_path: Path, recipe: Path, run: Path, tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENTLY_BUILD_ENV", str(tool))
    subject = subject_of_bundle(recipe, run / "bundle")
    answering = ServerAnswering(Servers(tmp_path, "bf16"), "auto", 8)
    with pytest.raises(BuildError, match=r"bf16: .*UNAVAILABLE"):
        compare(request(recipe, tmp_path / "compared"), subject, answering, HERE, Console(quiet=True))
    assert not (tmp_path / "compared" / "results.json").exists()


def test_what_is_no_classifier_of_the_recipe_is_refused(
    tmp_path: Path, recipe: Path, run: Path, compared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(recipe.parent, tmp_path / "other") / recipe.name
    other.write_text(other.read_text().replace("<|intent|>", "<|utterance|>"))
    relabelled = shutil.copytree(recipe.parent, tmp_path / "relabelled") / recipe.name
    labels = relabelled.with_name("labels.json")
    labels.write_text(json.dumps(json.loads(labels.read_text())[::-1]))
    bundle = str(run / "bundle")
    output = ["--output", str(tmp_path / "out"), "--engine", "transformers"]
    for arguments, says in (
        ([str(recipe), "--run", str(tmp_path)], "no finished run there"),
        ([str(recipe), "--bundle", str(compared / "bundles" / "int8")], "quantized already"),
        ([str(other), "--bundle", bundle], "asks with another prompt"),
        ([str(relabelled), "--bundle", bundle], "has other labels, or in another order"),
        ([str(recipe), "--bundle", bundle, "--run", str(run)], "give one of them"),
        ([str(recipe), "--bundle", bundle, "--gpu", "h9"], "--gpu h9: not known"),
        ([str(recipe), "--bundle", bundle, "--gpu", "t4"], "t4 does not run it: no bfloat16 before sm80"),
        ([str(recipe), "--bundle", bundle, "--formats", "int3"], "'int3' is not known; known are all, bf16"),
        ([str(recipe), "--bundle", bundle, "--in-flight", "0"], "--in-flight 0: must be at least 1"),
        ([str(recipe), "--bundle", bundle, "--report", "page.txt"], "must end in .html"),
    ):
        assert main(["compare", *arguments, *output]) == 2
        line = capsys.readouterr().err
        assert says in line
        assert line.count("\n") == 1
    assert not (tmp_path / "out" / "results.json").exists()
