"""The tool's own process: `python -m intently_build.quantizing.worker JOB` runs one job.

A process of its own because the tool may live in another environment, wants its variables set before it is imported,
and gives its memory back when it ends. It ends when whoever started it goes away: then its standard input is closed.
"""

import json
import os
import random
import sys
import threading
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from intently_build.quantizing.formats import find_format
from intently_build.quantizing.job import Job, read_job

TOOLS = "tools.json"  # in the job's scratch folder: name to version

_ALSO_NOTED = ("torch", "transformers")


def main() -> None:
    """Runs the job in the file that the command line names."""
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    run(read_job(Path(sys.argv[1])))


def run(job: Job) -> None:
    """Runs the tool of the job's format, every random generator seeded."""
    import numpy as np
    import torch

    random.seed(job.seed)
    np.random.seed(job.seed)  # the tools use the global one
    torch.manual_seed(job.seed)
    name = find_format(job.form).tool
    import_module(f"intently_build.quantizing.tools.{name}_tool").quantize(job)
    versions = {each: version(each) for each in (name, *_ALSO_NOTED)}
    (job.scratch / TOOLS).write_text(json.dumps(versions), encoding="utf-8")


def end_with_the_parent() -> None:
    """Waits until whoever started this process closes its standard input, and ends the process."""
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin: its lock would be in the way when the process ends
    os._exit(1)


if __name__ == "__main__":
    main()
