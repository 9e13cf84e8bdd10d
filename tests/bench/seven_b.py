"""Takes a model of 7B's shape with random weights from base and adapter to what is served, and measures each step.

    python tests/bench/seven_b.py --work FOLDER [--output FILE.json] [--formats gptq-int4,int8,fp8] [--layers N]
    python tests/bench/seven_b.py --work FOLDER --shape toy        on a CPU, in minutes

Base, adapter, merge and head are made once; then each format is quantized, made a bundle, timed in vLLM alone, and
loaded behind intently-server. With --synth the bundles come from `intently-build synth` instead. Results are written
after every step, and a run goes on where the last one stopped: --stop-after begins no new step then. Quantizing needs
the build environment (INTENTLY_BUILD_ENV). A line per step goes to standard error, JSON to standard out; exits with 1
if a step is left, took longer than it may, or is larger.
"""

import argparse
import functools
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_build.quantizing.quantize import Request, quantize
from intently_build.synth.synth import ROOM, find_shape, synth
from intently_build.synth.synth import Request as SynthRequest
from support.seven_b.ledger import Ledger, tell
from support.seven_b.making import Models, cut_head, make_adapter, make_base, make_served, merge_them
from support.seven_b.serving import load_server, planned, time_steps

QUANTIZED_WITHIN_S = 180.0
LARGEST_INT4 = 4_600_000_000  # bytes, of 7B with a cut-out head
CHUNK_TOKENS, SEQUENCES = 8192, 256
FORMATS = ("gptq-int4", "int8", "fp8", "awq")


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a limit of time must not leave a server behind
    options.work.mkdir(parents=True, exist_ok=True)
    models = Models(options.work, find_shape(options.shape, options.layers), options.labels, options.prefix_tokens)
    ledger = Ledger(options.work, options.output, options.stop_after)
    try:
        make = _synth if options.synth else _quantize
        if options.synth or _make(models, ledger):
            made = [form for form in options.formats if make(models, form, ledger, options)]
            for form in [] if options.skip_serve else made:
                _serve(models, form, ledger, options)
    finally:
        faults = _faults(ledger, options)
        verdict = {"faults": faults, "left": ledger.left}
        sys.stdout.write(json.dumps({"results": ledger.results, "verdict": verdict}, indent=1) + "\n")
    return 1 if faults or ledger.left else 0


def _make(models: Models, ledger: Ledger) -> bool:
    """Returns whether the classifier is there."""
    if ledger.results.get("head", {}).get("done") and models.classifier.exists():
        tell("base, adapter, merge, head: done before")
        return True
    merged = models.merged.exists() or (
        ledger.step("base", functools.partial(make_base, models), models.base)
        and ledger.step("adapter", functools.partial(make_adapter, models), models.adapter)
        and ledger.step("merge", functools.partial(merge_them, models), models.merged)
    )
    return merged and ledger.step("head", functools.partial(cut_head, models), models.classifier)


def _quantize(models: Models, form: str, ledger: Ledger, options: argparse.Namespace) -> bool:
    """Returns whether the bundle is there."""

    def work() -> dict[str, Any]:
        request = Request(
            checkpoint=models.classifier,
            form=form,
            output=models.quantized(form),
            calibration=models.rows,
            tests=(),
            leave_out_test=False,
            layout=models.layout(options.calibration_prefix),
            samples=options.samples,
            replace=True,
        )
        started = time.monotonic()
        found = quantize(request, Console(stderr=True))
        seconds = time.monotonic() - started
        size = found.size if found else None
        looked_at = {"samples": options.samples, "prefix_tokens": options.calibration_prefix}
        return {"bytes": size, "quantize_s": round(seconds, 1), "calibration": looked_at}

    return ledger.step(f"quantize {form}", work, models.quantized(form)) and ledger.step(
        f"bundle {form}", functools.partial(make_served, models, form), models.bundle(form)
    )


def _synth(models: Models, form: str, ledger: Ledger, options: argparse.Namespace) -> bool:
    """Makes the bundle of random weights at once. Returns whether it is there."""

    def work() -> dict[str, Any]:
        request = SynthRequest(
            shape=options.shape,
            layers=options.layers,
            labels=options.labels,
            prefix_tokens=options.prefix_tokens,
            max_tokens=None,
            form=form,
            group_size=128,
            tokenizer=None,
            output=models.bundle(form),
            device="auto",
            seed=0,
            replace=True,
        )
        synth(request, Console(stderr=True))
        return {"bytes": sum(path.stat().st_size for path in models.bundle(form).iterdir())}

    return ledger.step(f"synth {form}", work, models.bundle(form))


def _serve(models: Models, form: str, ledger: Ledger, options: argparse.Namespace) -> None:
    bundle = models.bundle(form)
    settings = {"max_batched_tokens": CHUNK_TOKENS, "max_sequences": SEQUENCES, "enforce_eager": options.eager}
    flags = ["--max-batched-tokens", str(CHUNK_TOKENS), "--max-sequences", str(SEQUENCES)]
    flags += ["--enforce-eager" if options.eager else "--no-enforce-eager"]
    flags += ["--kv-cache-gib", str(options.server_kv_gib), "--gpu-memory-utilization", str(options.server_share)]

    def steps() -> dict[str, Any]:
        found = time_steps(bundle, options.batches, settings)
        return found | {"planned": planned(bundle, form, options.prefix_tokens + ROOM, CHUNK_TOKENS, 0)}

    def load() -> dict[str, Any]:
        return load_server(bundle, options.concurrency, options.seconds, tuple(flags))

    if not options.only_server:
        ledger.step(f"engine {form}", steps)
    ledger.step(f"server {form}", load)


def _faults(ledger: Ledger, options: argparse.Namespace) -> list[str]:
    """What is not as it must be."""
    faults = [f"{name}: {result['error'][:200]}" for name, result in ledger.results.items() if not result["done"]]
    for form in options.formats:
        made = ledger.results.get(f"quantize {form}", {})
        if made.get("quantize_s", 0) > QUANTIZED_WITHIN_S:
            faults.append(f"quantize {form}: took {made['quantize_s']} s, over {QUANTIZED_WITHIN_S:g}")
        if form == "gptq-int4" and (made.get("bytes") or 0) > LARGEST_INT4:
            faults.append(f"quantize {form}: {made['bytes']:,} bytes, over {LARGEST_INT4:,}")
    return faults


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    def forms(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(FORMATS):
            parser.error(f"--formats: {', '.join(unknown)}: known are {', '.join(FORMATS)}")
        return text.split(",")

    parser.add_argument("--work", type=Path, required=True, help="folder for models and results; 7B needs 45 GB")
    parser.add_argument("--output", type=Path, help="file that results are written to after every step")
    parser.add_argument("--shape", default="qwen2.5-7b", help="as of intently-build synth (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="so many of its layers; another folder for each number")
    parser.add_argument("--formats", type=forms, default="gptq-int4,int8,fp8", help="default: %(default)s")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--prefix-tokens", type=int, default=600)
    parser.add_argument("--samples", type=int, default=128, help="calibration rows (default: %(default)s)")
    parser.add_argument(
        "--calibration-prefix", type=int, default=232, metavar="N", help="tokens before each (default: %(default)s)"
    )
    parser.add_argument("--synth", action="store_true", help="bundles of random weights at once: no merging, no tools")
    parser.add_argument("--only-server", action="store_true", help="leave out what vLLM does alone")
    parser.add_argument("--skip-serve", action="store_true", help="make and quantize, and serve nothing")
    parser.add_argument("--eager", action="store_true", help="no compilation: quicker starts, slower steps")
    parser.add_argument("--batches", type=numbers, default="1,16,64,256", help="prompts of a step, for vLLM alone")
    parser.add_argument("--concurrency", type=numbers, default="1,16,64,128,256", help="of the loops on the server")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each loop (default: %(default)s)")
    parser.add_argument("--server-kv-gib", type=float, default=16.0, help="KV cache of the server")
    parser.add_argument(
        "--server-share",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="of the GPU's memory that must be free for the server to start; less where others work on it "
        "(default: %(default)s)",
    )
    parser.add_argument("--stop-after", type=float, default=1e9, metavar="S", help="begin no step after S seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
