"""python -m intently.bench: the same as `intently bench`."""

import argparse
import sys

from intently.bench.command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="intently bench")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
