"""A target in Python: whatever a function makes, such as an engine in the generator's own process."""

import importlib
import os
import sys
from typing import cast
from urllib.parse import parse_qsl

import grpc

from intently.bench.plan import Plan, Share
from intently.bench.targets.traffic import Traffic
from intently.errors import IntentlyError


def plugin_of(plan: Plan, share: Share) -> Traffic:
    """Calls what python:MODULE:NAME?KEY=VALUE&… names, with the plan, the share, and the values as keyword arguments.

    MODULE is looked for in the working directory too. NAME gives a `Traffic`.

    Raises:
        IntentlyError: if there is no such thing.
    """
    name, _, query = plan.target.address.partition("?")
    module_name, _, attribute = name.partition(":")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  # entries of sys.path are strings
        sys.path.append(here)
    try:
        make = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise IntentlyError(grpc.StatusCode.NOT_FOUND, str(error)) from error
    return cast("Traffic", make(plan, share, **dict(parse_qsl(query))))
