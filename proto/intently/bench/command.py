"""The command `intently bench`: its arguments, and its run. Needs nothing of the extra `bench` until it runs."""

import argparse
import asyncio
import importlib
import os
import sys
from pathlib import Path

from intently.answers import Priority
from intently.bench.options import add_options
from intently.bench.plan import Arrivals, Credentials, Plan, Shape
from intently.bench.utterances import made, read
from intently.channel import is_local
from intently.cli.connection import TOKEN_FILE_VARIABLE

DONE, FAILED, USAGE, LIMITED = 0, 1, 2, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `intently bench`, and what it is, to a parser."""
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Runs what the options say and returns the exit code."""
    try:
        for library in ("hdrh.histogram", "rich.live", "uvloop"):
            importlib.import_module(library)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"intently bench: {error.name} is missing: pip install 'intently[bench]'\n")
        return USAGE
    from intently.bench.session import Session

    try:
        plan = plan_of(options)
        if options.json not in {None, "-"}:
            Path(options.json).open("a").close()  # better no run than one whose report cannot be written
    except (ValueError, OSError) as error:
        sys.stderr.write(f"intently bench: {error}\n")
        return USAGE
    return asyncio.run(Session(plan, options).run())


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the options describe.

    Raises:
        ValueError: if they do not fit together, or the file of utterances is not one.
        OSError: if it cannot be read.
    """
    shape, processes = Shape(options.shape), options.processes
    if shape is Shape.STREAM and options.streams < processes:
        raise ValueError(f"{options.streams} streams are too few for {processes} processes: raise --streams")
    if options.rate is None and shape is not Shape.STREAM and options.concurrency < processes:
        raise ValueError(f"a concurrency of {options.concurrency} is too low for {processes} processes")
    duration_s = 10.0 if options.duration is None and options.requests is None else options.duration
    raw = shape is Shape.STREAM and options.raw_streams
    if shape is Shape.STREAM and options.metadata and not raw:
        raise ValueError("--metadata goes with single calls, batches and --raw-streams")
    return Plan(
        address=options.address,
        utterances=made(options.seed) if options.utterances is None else read(options.utterances),
        shape=shape,
        rate=options.rate,
        arrivals=Arrivals(options.arrivals),
        concurrency=options.concurrency,
        streams=options.streams,
        batch_size=options.batch_size,
        raw_streams=raw,
        ordered=options.ordered,
        retry=options.retry,
        connections=options.connections,
        max_outstanding=options.max_outstanding,
        processes=processes,
        warm_up_s=options.warm_up,
        duration_s=duration_s,
        requests=options.requests,
        timeout_s=options.timeout,
        wait_s=options.wait,
        priority=None if options.priority is None else Priority(options.priority),
        metadata=tuple(options.metadata),
        credentials=_credentials_of(options),
        seed=options.seed,
    )


def _credentials_of(options: argparse.Namespace) -> Credentials:
    parts = (options.ca, options.certificate, options.key, options.server_name)
    credentials = Credentials(
        tls=options.tls or any(part is not None for part in parts),
        ca=options.ca,
        certificate=options.certificate,
        key=options.key,
        token=options.token_file or os.environ.get(TOKEN_FILE_VARIABLE) or None,
        server_name=options.server_name,
    )
    security = credentials.load()
    if security.token is not None and not security.tls and not is_local(options.address):
        raise ValueError(f"a token is sent over TLS or to this machine only, and {options.address} is neither")
    return credentials
