"""The command `intently bench`: its arguments, and its run. Needs nothing of the extra `bench` until it runs."""

import argparse
import asyncio
import importlib
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from intently.answers import Priority
from intently.bench.bundle_prompt import frame_of
from intently.bench.exit_code import USAGE
from intently.bench.options import add_options
from intently.bench.plan import Arrivals, Credentials, Plan, Shape
from intently.bench.targets.target import Speech, Target
from intently.bench.utterances import made, read_rows
from intently.bench.words import made_of_words
from intently.channel import is_local
from intently.cli.connection import TOKEN_FILE_VARIABLE

_LIBRARIES = ("hdrh.histogram", "rich.live", "uvloop")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `intently bench`, and what it is, to a parser."""
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Runs what the options say and returns the exit code."""
    try:
        addresses = [each for each in (options.address, options.against) if each is not None]
        kinds = {Target.parse(address).kind for address in addresses}
        http, page = ["aiohttp"] if Speech.HTTP in kinds else [], ["jinja2"] if options.html is not None else []
        for library in (*_LIBRARIES, *http, *page):
            importlib.import_module(library)
        from intently.bench.ordering import order_of
        from intently.bench.session import Session

        order = order_of(options, plan_of(options))
        json_file = _json_file(options)
        for file in {json_file, options.html} - {None, "-"}:
            Path(file).open("a").close()  # better no run than one whose report cannot be written
    except ModuleNotFoundError as error:
        sys.stderr.write(f"intently bench: {error.name} is missing: pip install 'intently[bench]'\n")
        return USAGE
    except (ValueError, OSError) as error:
        sys.stderr.write(f"intently bench: {error}\n")
        return USAGE
    return asyncio.run(Session(order, json_file, options.html, options.progress).run())


def _json_file(options: argparse.Namespace) -> str | None:
    """Where the JSON goes: beside the page, if there is one and nothing else was said."""
    if options.json is None and options.html is not None:
        beside = options.html.with_suffix(".json")
        if beside == options.html:
            raise ValueError(f"the page and the JSON cannot both be {beside}: give --json too")
        return str(beside)
    return None if options.json is None else str(options.json)


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the options describe.

    Raises:
        ValueError: if they do not fit together, or the file of utterances is not one.
        OSError: if it cannot be read.
    """
    shape, processes = Shape(options.shape), options.processes
    kinds = {Target.parse(each).kind for each in (options.address, options.against) if each is not None}
    if shape is Shape.STREAM and options.streams < processes:
        raise ValueError(f"{options.streams} streams are too few for {processes} processes: raise --streams")
    open_loop = options.rate is not None or options.ramp is not None or options.ramp_concurrency is not None
    if not open_loop and shape is not Shape.STREAM and options.concurrency < processes:
        raise ValueError(f"a concurrency of {options.concurrency} is too low for {processes} processes")
    duration_s = 10.0 if options.duration is None and options.requests is None else options.duration
    raw = shape is Shape.STREAM and options.raw_streams
    if shape is Shape.STREAM and options.metadata and not raw:
        raise ValueError("--metadata goes with single calls, batches and --raw-streams")
    if shape is Shape.STREAM and Speech.HTTP in kinds:
        raise ValueError("HTTP has no streams: --shape unary or batch")
    if options.ramp_concurrency is not None:
        if shape is Shape.STREAM:
            raise ValueError(
                "streams are opened once, for one concurrency: --ramp-concurrency is for calls and batches"
            )
        if min(options.ramp_concurrency) < processes:
            raise ValueError(f"a concurrency of {min(options.ramp_concurrency)} is too low for {processes} processes")
    utterances, token_ids = _said(options)
    return Plan(
        address=options.address,
        utterances=utterances,
        token_ids=token_ids,
        frame=("", "") if options.bundle is None else frame_of(options.bundle),
        model=options.model,
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


def _said(options: argparse.Namespace) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """The utterances, and the token ids of their prompts, where all have some."""
    if options.words is not None:
        return made_of_words(options.seed, *options.words), ()
    if options.utterances is None:
        return made(options.seed), ()
    rows = read_rows(options.utterances)
    ids = tuple(ids for _, ids in rows)
    return tuple(text for text, _ in rows), ids if all(ids) else ()


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
    for target in (Target.parse(each) for each in (options.address, options.against) if each is not None):
        plain = target.kind is Speech.GRPC and not security.tls and not is_local(target.address)
        plain |= target.address.startswith("http://") and not is_local(urlsplit(target.address).netloc)
        if security.token is not None and plain:
            raise ValueError(f"a token is sent over TLS or to this machine only, and {target.address} is neither")
    return credentials
