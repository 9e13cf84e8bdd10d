"""Makes docs/benchmarks.md and its plots of the files that tests/bench/benchmarks.py wrote.

python tests/bench/benchmarks_page.py [--records docs/benchmarks] [--page docs/benchmarks.md]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.benchmarks.page import write_page
from support.paths import ROOT


def main() -> int:
    """Makes them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=ROOT / "docs" / "benchmarks", help="the folder of the files")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    write_page(options.records, options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
