"""The exporter's own process: `python -m intently_build.gguf_export.worker JOB` does one task."""

import json
import sys
import threading
from importlib.metadata import version
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import find_type
from intently_build.gguf_export.job import ExportJob, read_export_job
from intently_build.gguf_export.vocabulary import read_vocabulary
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.tool_process import DISK_FULL
from intently_build.quantizing.worker import end_with_the_parent

# In the job's scratch folder:
WRITTEN = "written.json"  # the largest error of a matrix
ANSWERS = "answers.json"
TOOLS = "tools.json"  # the versions that the task was done by


def main() -> None:
    """Does the task in the file that the command line names."""
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    try:
        run(read_export_job(Path(sys.argv[1])))
    except BuildError as error:
        print(error)  # noqa: T201  # the last line of the log is what the user is told
        sys.exit(1)
    except OSError as error:
        if "free space" not in str(error):  # numpy's words
            raise
        print(DISK_FULL)  # noqa: T201
        sys.exit(1)


def run(job: ExportJob) -> None:
    """Does it. Raises BuildError, and the tools' own errors."""
    tasks = {"write": _write, "answer": _answer}
    tasks[job.task](job)
    (job.scratch / TOOLS).write_text(json.dumps(_versions()), encoding="utf-8")


def _write(job: ExportJob) -> None:
    from intently_build.gguf_export.checking import check_gguf
    from intently_build.gguf_export.writing import write_gguf

    source, stored = read_checkpoint(job.checkpoint), find_type(job.gguf_type)
    vocabulary = read_vocabulary(job.checkpoint, source.config, job.code_ids)
    if stored.name in ("f16", "q8_0"):
        write_gguf(job.output, source, job.name, vocabulary, job.code_ids, stored)
    else:
        from intently_build.gguf_export.llama import shrink

        whole = job.scratch / "f16.gguf"
        write_gguf(whole, source, job.name, vocabulary, job.code_ids, find_type("f16"))
        shrink(whole, job.output, stored)
        whole.unlink()
    print("reading it again", flush=True)  # noqa: T201  # the log of this process
    error = check_gguf(job.output, source, vocabulary, job.code_ids, stored)
    (job.scratch / WRITTEN).write_text(json.dumps(error), encoding="utf-8")


def _answer(job: ExportJob) -> None:
    from intently_build.gguf_export.llama import answer

    answer(job.output, job.prompts, job.code_ids, job.context).write(job.scratch / ANSWERS)


def _versions() -> dict[str, str]:
    """Returns the versions of what was used: what is imported by now."""
    used = {"gguf": "gguf", "llama_cpp": "llama-cpp-python"}
    return {name: version(name) for module, name in used.items() if module in sys.modules}


if __name__ == "__main__":
    main()
