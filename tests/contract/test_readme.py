"""The README agrees with the code and with the bundles: limits, commands, figures, and its examples run."""

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from intently import Classification, IntentClient
from intently.v1 import bundle_pb2
from intently_server.servicer.status import STATUS_TABLE
from intently_server.settings import Settings
from support.in_memory_server import in_memory_server
from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BUNDLES = sorted(path.parent for path in (ROOT / "build_model" / "bundles").glob("*/bundle.json"))


@pytest.mark.parametrize(
    ("row", "setting"),
    [
        ("characters of a text", "max_text_chars"),
        ("turns of context", "max_context_turns"),
        ("requests in a batch", "max_batch_size"),
        ("requests in flight", "max_in_flight"),
        ("items in flight on a stream", "stream_max_in_flight"),
        ("streams of a connection", "max_concurrent_streams"),
        ("streams open in all", "max_streams"),
        ("first message of a stream", "stream_begin_timeout"),
        ("connections", "max_connections"),
        ("calls that no handler has begun", "max_unseen_calls"),
        ("requests inside the engine", "max_running"),
        ("seconds to an answer", "max_wait"),
        ("tokens that wait", "max_queued_tokens"),
        ("silence of a connection", "keepalive_interval"),
    ],
)
def test_limits_are_the_defaults(row: str, setting: str) -> None:
    cell = re.search(rf"^\| {row} \| ([\d,.]+)", README, re.MULTILINE)
    assert cell is not None, f"the README has no row {row!r}"
    assert float(cell.group(1).replace(",", "")) == Settings.model_fields[setting].default


def test_the_bounds_of_answers_that_are_not_read_are_the_defaults() -> None:
    cell = re.search(
        r"^\| answers that a caller has not read \| (\d+) MiB of one caller, (\d+) MiB", README, re.MULTILINE
    )
    assert cell is not None
    settings = ("max_unsent_bytes_per_caller", "max_unsent_bytes")
    assert [int(mib) * 2**20 for mib in cell.groups()] == [Settings.model_fields[name].default for name in settings]


def test_the_message_limit_is_the_default() -> None:
    cell = re.search(r"^\| message \| (\d+) MiB", README, re.MULTILINE)
    assert cell is not None
    assert int(cell.group(1)) * 1024 * 1024 == Settings.model_fields["max_message_bytes"].default


@pytest.mark.parametrize(
    ("row", "shown", "setting", "unit"),
    [
        ("age of a stream", r"(\d+) minutes, less up to a tenth", "stream_max_age", 60),
        ("keepalive pings of an idle connection", r"one in ([\d.]+) s", "min_ping_interval", 1),
        ("silence of a connection", r"30 s \| a ping; without an answer in (\d+) s", "keepalive_interval", 2),
        ("seconds to an answer", r"([\d.]+) \(`--max-wait`\)", "max_wait", 1),
    ],
)
def test_times_are_the_defaults(row: str, shown: str, setting: str, unit: float) -> None:
    cell = re.search(rf"^\| {row} \| {shown}", README, re.MULTILINE)
    assert cell is not None, f"the README has no row {row!r}"
    assert float(cell.group(1)) * unit == Settings.model_fields[setting].default


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_limits_of_the_bundles_are_theirs(bundle: Path) -> None:
    limits = json_format.Parse((bundle / "bundle.json").read_text(encoding="utf-8"), bundle_pb2.BundleManifest()).limits
    tokens = re.search(r"^\| tokens of a prompt \| the bundle's: ([\d,]+) for those here", README, re.MULTILINE)
    turns = re.search(r"^\| turns of context .* less: (\d+) for those here", README, re.MULTILINE)
    assert tokens is not None
    assert turns is not None
    assert int(tokens.group(1).replace(",", "")) == limits.max_input_tokens
    assert int(turns.group(1)) == limits.max_context_turns


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_bundle_stands_there_with_the_figures_of_its_manifest(bundle: Path) -> None:
    text = (bundle / "bundle.json").read_text(encoding="utf-8")
    manifest = json_format.Parse(text, bundle_pb2.BundleManifest())
    splits = {each.split: each for each in manifest.evaluations}
    split = "test" if "test" in splits else "validation"
    evaluation = splits[split]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("| `")]
    first, *points = [row for row in rows if row[0].startswith(f"`{manifest.name}`")]
    assert ("(validation)" in first[1]) == (split == "validation")
    assert first[2:] == [
        f"{evaluation.in_scope_rows:,}",
        f"{evaluation.accuracy:.1%}",
        f"{evaluation.macro_f1:.1%}",
        f"{evaluation.ece:.3f}",
        f"{evaluation.ece_perfect_p95:.3f}",
    ]
    thresholds = {point.name: point.threshold for point in manifest.calibration.operating_points}
    assert [row[1:] for row in points] == [
        [
            f"{point.name} (set)"
            if thresholds[point.name] == manifest.calibration.out_of_scope_threshold
            else point.name,
            f"{point.in_scope_accuracy:.1%}",
            f"{point.in_scope_kept:.1%}",
            f"{point.out_of_scope_recall:.1%}" if point.HasField("out_of_scope_recall") else "n/a",
        ]
        for point in evaluation.operating_points
    ]


def test_the_example_of_a_call_is_answered_by_the_bundle_that_is_served_by_default() -> None:
    shown = re.search(r"· (mini-\w+) ([0-9a-f]{12}) ·", README)
    assert shown is not None
    bundle = ROOT / "build_model" / "bundles" / shown.group(1) / "bundle.json"
    manifest = json_format.Parse(bundle.read_text(encoding="utf-8"), bundle_pb2.BundleManifest())
    assert manifest.revision[:12] == shown.group(2)


def test_every_status_that_the_server_gives_stands_there_and_in_the_contract() -> None:
    given = {code.name for _, code in STATUS_TABLE}
    table = README[README.index("| status | when |") : README.index("## Limits")]
    contract = (ROOT / "proto" / "intently" / "v1" / "intent_service.proto").read_text(encoding="utf-8")
    told = re.findall(r"^\| ([A-Z_, ]+) \|", table, re.MULTILINE)
    assert given - {name for names in told for name in names.split(", ")} == set()
    assert given - set(re.findall(r"^//   ([A-Z_]+)  ", contract, re.MULTILINE)) == {
        "NOT_FOUND"
    }  # ModelService's alone


@pytest.mark.parametrize("command", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_commands_are_targets_of_the_makefile(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


async def test_the_example_of_a_stream_answers_more_than_a_server_takes_at_once(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(async with client\.stream\(\).*?)```", README, re.DOTALL)
    source = f"async def run(client, texts):\n{textwrap.indent(example, '    ')}    return answers\n"
    names: dict[str, Any] = {"asyncio": asyncio}
    exec(compile(source, "README.md", "exec"), names)  # noqa: S102  # our own README
    with in_memory_server(tmp_path) as server:
        async with IntentClient(server.address) as client, asyncio.timeout(30):
            answers = await names["run"](client, [f"text {number}" for number in range(200)])

    assert len(answers) == 200
    assert all(isinstance(answer, Classification) for answer in answers)


DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/adr/*.md"), ROOT / "build_model" / "README.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []
