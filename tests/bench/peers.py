"""Measures our server beside its peers on the same work, in turn within one run: the bare engine, and `vllm serve`.

    python tests/bench/peers.py [--bundle PATH] [--concurrency 16] [--rounds 10] [--seconds 3]
        [--against bare serve] [--set NAME=VALUE …] [--envoy] [--ids] [--folder FOLDER]

All three run vLLM with the same settings. The bare engine is AsyncLLM in the generator's process, fed with token ids;
`vllm serve` gets the text in the bundle's prompt, as its callers would send it (--ids: token ids, which spares it the
tokenizing). With --envoy the server is called through Envoy. Prints JSON; exits with 1 if the verdict is not good:

    bare     our server answers at least 0.9 times as many a second
    serve    our server answers at least 1.5 times as many a second

On a CPU engine, server and generator share the cores: what the server takes, its engine lacks.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently.bench.arguments import span
from intently_server.bundle import Bundle, load_bundle
from support.engine_settings import as_flags
from support.envoy_in_front import envoy_in_front_of
from support.paths import BUNDLE, ROOT
from support.peer_targets import SMALL, Said, bare_target, serve_target
from support.server_process import running_server

LEAST = {"bare": 0.9, "serve": 1.5}
_FIGURES = ("ratio", "p50-ratio", "p99-ratio")
_EXTRA_S = 900.0  # for engines to start and last calls to end


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    settings = SMALL | dict(each.split("=", 1) for each in options.set)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bundle = load_bundle(options.bundle)
        said = Said(bundle, folder, options.tokens)
        server = stack.enter_context(running_server(options.bundle, folder, *as_flags(settings)))
        address = server.address
        if options.envoy:
            address = stack.enter_context(envoy_in_front_of(address)).address
        report: dict[str, Any] = {}
        for peer in options.against:
            with contextlib.ExitStack() as beside:
                target = _target(peer, bundle, settings, folder, beside)
                report[peer] = _compared(address, target, said, options, folder / f"{peer}.json")
            sys.stderr.write(f"{peer}: {json.dumps(report[peer]['ratios'])}\n")
    verdict = {peer: report[peer]["ratios"]["ratio"]["value"] >= LEAST[peer] for peer in options.against}
    verdict["generator_was_not_the_limit"] = not any(each["limits"] for each in report.values())
    told = {"bundle": options.bundle.name, "concurrency": options.concurrency, "settings": settings}
    good = all(verdict.values())
    sys.stdout.write(json.dumps({**told, "peers": report, "verdict": verdict, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _target(peer: str, bundle: Bundle, settings: dict[str, str], folder: Path, stack: contextlib.ExitStack) -> str:
    """How that peer is called. Starts it, if `intently bench` does not."""
    if peer == "bare":
        return bare_target(bundle.path, settings)
    return stack.enter_context(serve_target(bundle, settings, folder)).url


def _compared(address: str, target: str, said: Said, options: argparse.Namespace, report: Path) -> dict[str, Any]:
    """What `intently bench` found; all of it stays in that file."""
    command = [sys.executable, "-m", "intently.bench", "--address", address, "--against", target, "--wait", "10m"]
    command += ["--concurrency", str(options.concurrency), "--duration", f"{options.seconds:g}s", "--warm-up", "1s"]
    command += ["--rounds", str(options.rounds), "--processes", str(options.processes), "--allow-limited"]
    command += ["--progress", "off", "--json", str(report), *said.flags(target, ids=options.ids)]
    subprocess.run(command, stdout=sys.stderr, check=False, timeout=_EXTRA_S + 60 * options.seconds, cwd=ROOT)
    found = json.loads(report.read_text())
    if "ratios" not in found:
        raise RuntimeError(f"{address} and {target} were not compared: {found['failures']}")
    per_s: dict[str, list[float]] = {"server": [], "peer": []}
    for run in found["runs"]:
        per_s["server" if run["target"] == found["targets"][0]["address"] else "peer"].append(run["answered_per_s"])
    return {
        "per_s": {name: round(statistics.median(each), 1) for name, each in per_s.items()},
        "ratios": {name: found["ratios"][name] for name in _FIGURES if name in found["ratios"]},
        "limits": found["limits"],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--against", nargs="+", choices=sorted(LEAST), default=sorted(LEAST))
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--processes", type=int, default=1, help="of the generator (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn (default: %(default)s)")
    parser.add_argument(
        "--tokens", type=span, default="8-24", metavar="N|N-M", help="of each utterance (default: %(default)s)"
    )
    parser.add_argument("--ids", action="store_true", help="spare `vllm serve` the tokenizing")
    parser.add_argument("--envoy", action="store_true", help="call our server through Envoy")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the server, for all three, such as enforce_eager=false kv_cache_gib=8",
    )
    parser.add_argument("--folder", type=Path, help="where the full reports and logs stay")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
