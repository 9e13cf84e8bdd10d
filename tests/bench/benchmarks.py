"""Measures what docs/benchmarks.md tells: our server beside its peers, on a model of a published shape.

    python tests/bench/benchmarks.py --work FOLDER --output FOLDER                 on an H200: 7B in FP8, everything
    python tests/bench/benchmarks.py … --only rate-beside-serve one-caller         these studies
    python tests/bench/benchmarks.py … --quick                                     on a CPU, to see that it works

Each study writes a file of JSON as it goes, and a line to standard error when it is done. A run that is started again
goes on with the studies that are not. What they need (bundle, servers, Envoy, peers) is kept from one to the next.
Exits with 1 if one failed or was left. tests/bench/benchmarks_page.py makes the page of the files.
"""

import argparse
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently.bench.arguments import span
from support.benchmarks.asked import Asked, Model
from support.benchmarks.record import machine
from support.benchmarks.studies import carry_out, is_done, studies
from support.peer_targets import SMALL

_PREFIX = 600
_ROOM = 1024  # tokens of a prompt beside its prefix
# Several engines share the GPU, so the KV cache has a size of its own: 37,000 tokens of 7B, enough for 256 prompts that
# share a prefix, or 64 of 512 tokens more. In a larger one utterances would still be found when they come again.
_ON_GPU = {
    "enforce_eager": "false",
    "kv_cache_gib": "2",
    "gpu_memory_utilization": "0.15",
    "max_batched_tokens": "8192",
    "max_sequences": "256",
}
_FORMS = ("int8", "bf16", "gptq-int4", "awq")
_FULL: dict[str, Any] = {
    "shape": "qwen2.5-7b",
    "form": "fp8",
    "labels": 100,
    "prefix": _PREFIX,
    "settings": _ON_GPU,
    "seconds": 2.0,
    "slo": "p99=82ms",
    "processes": 6,
    "rate": 300.0,
    "patience": 1.0,
}
_QUICK: dict[str, Any] = {
    "shape": "toy",
    "form": "bf16",
    "labels": 20,
    "prefix": 60,
    "settings": SMALL,
    "seconds": 0.5,
    "slo": "p50=300ms",
    "processes": 1,
    "rate": 60.0,
    "patience": 4.0,
}


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a limit of time must leave nothing behind
    for folder in (options.work, options.output):
        folder.mkdir(parents=True, exist_ok=True)
    asked = _asked(options)
    listed = studies(asked, options.try_setting)
    if unknown := {*options.only, *options.skip} - {study.name for study in listed}:
        raise SystemExit(f"there is no study {', '.join(sorted(unknown))}; there are {_names(listed)}")
    wanted = [study for study in listed if study.name in options.only or not (options.only or study.asked_for)]
    wanted = [study for study in wanted if study.name not in options.skip]
    names = {study.name for study in wanted if not is_done(options.output / f"{study.name}.json")}
    asked = replace(asked, forms=tuple(form for form in asked.forms if f"form-{form}" in names))
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": options.commit,
        "model": {name: getattr(asked.model, name) for name in Model.__dataclass_fields__},
        "settings": dict(asked.settings),
        "tokens": list(asked.tokens),
        "slo": asked.slo,
        "machine": machine(),
    }
    left = carry_out(wanted, asked, options.output, facts, options.stop_after)
    if left:
        sys.stderr.write(f"not done: {', '.join(left)}\n")
    return 1 if left else 0


def _asked(options: argparse.Namespace) -> Asked:
    given = {name: value for name in _FULL if (value := getattr(options, name, None)) is not None}
    chosen = (_QUICK if options.quick else _FULL) | given
    settings = chosen["settings"] | dict(each.split("=", 1) for each in options.set)
    model = Model(chosen["shape"], chosen["form"], chosen["labels"], chosen["prefix"], chosen["prefix"] + _ROOM)
    return Asked(
        work=options.work.resolve(),
        model=model,
        settings=settings,
        forms=tuple(options.forms or (["int8"] if options.quick else _FORMS)),
        labels=(2, 50) if options.quick else (2, 10, 1000),
        prefixes=(0, model.prefix_tokens) if options.quick else (0, 300, _PREFIX, 1200, 2000),
        lengths=(8, 64) if options.quick else (8, 16, 32, 64, 128, 256, 512),
        concurrencies=(2, 4) if options.quick else (16, 64, 96, 128, 256),
        tokens=options.tokens,
        slo=chosen["slo"],
        seconds=chosen["seconds"],
        processes=chosen["processes"],
        rate=chosen["rate"],
        profiler=options.py_spy,
        at_once=options.at_once,
        patience=chosen["patience"],
    )


def _names(listed: list[Any]) -> str:
    return ", ".join(study.name for study in listed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for bundles and logs; 7B in FP8 needs 8 GB")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="a toy, and hardly any time: nothing to quote")
    parser.add_argument("--only", nargs="+", default=[], metavar="STUDY")
    parser.add_argument("--skip", nargs="+", default=[], metavar="STUDY")
    parser.add_argument("--stop-after", type=float, default=1e9, metavar="S", help="begin no study after S seconds")
    for name, kind, what in (
        ("shape", str, "of the model, as of intently-build synth"),
        ("form", str, "how its weights are stored"),
        ("labels", int, "rows of its head"),
        ("prefix", int, "tokens that all prompts begin with"),
        ("seconds", float, "that one thing is measured"),
        ("slo", str, "the latency of the searches"),
        ("processes", int, "of the generator"),
        ("rate", float, "calls a second of the loops on a release"),
        ("patience", float, "times the time that each study may take"),
    ):
        quick = f"; {_QUICK[name]} with --quick"
        parser.add_argument(f"--{name}", type=kind, help=f"{what} (default: {_FULL[name]}{quick})")
    parser.add_argument("--tokens", type=span, default="8-24", metavar="N|N-M", help="of each utterance")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of the server's settings, for all")
    parser.add_argument(
        "--try-setting", nargs="*", default=[], metavar="NAME=VALUE", help="studies setting-NAME=VALUE: such a server"
    )
    parser.add_argument("--py-spy", default=shutil.which("py-spy"), metavar="PATH", help="for the study of profiles")
    parser.add_argument(
        "--forms",
        nargs="+",
        metavar="FORM",
        help=f"of the studies form-FORM (default: {' '.join(_FORMS)}; int8 with --quick)",
    )
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="make the bundles and servers of a study of several models all together: quicker, and needs the disk and "
        "the GPU's memory for all of them",
    )
    parser.add_argument("--commit", help="of the code that is measured, for the record")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
