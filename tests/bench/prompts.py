"""Writes utterances of a given number of tokens, with the ids of their whole prompts: the same work for any target.

    python tests/bench/prompts.py --bundle PATH [--tokens 8-24] [--count 2000] > prompts.jsonl
    python tests/bench/prompts.py --bundle PATH --utterances FILE > prompts.jsonl

`intently bench --utterances prompts.jsonl` sends the text to an Intently server, and the ids to `vllm serve` or to the
bare engine.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently.bench.arguments import positive, span
from intently.bench.utterances import read
from intently_server.bundle import load_bundle
from support.said_tokens import as_prompts, made_texts


def main() -> int:
    """Writes them; returns the exit code."""
    options = _options()
    bundle = load_bundle(options.bundle)
    made = made_texts(options.bundle, options.tokens, options.count, options.seed)
    sys.stdout.writelines(as_prompts(read(options.utterances) if options.utterances else made, bundle))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--utterances", type=Path, help="say these instead of making some")
    parser.add_argument(
        "--tokens", type=span, default=(8, 24), metavar="N|N-M", help="of each utterance (default: 8-24)"
    )
    parser.add_argument("--count", type=positive, default=2000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
