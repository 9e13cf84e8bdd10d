"""peft, in whichever environment this runs: gptqmodel may be installed beside it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from intently_build.errors import BuildError

GPTQMODEL = "gptqmodel"


def load_peft() -> Any:
    """Returns peft, which has been told that there is no gptqmodel.

    For every layer that it wraps or merges, peft asks whether it is one of gptqmodel's, and where that is installed
    without optimum, as in the build environment, the very question raises ImportError. No layer here is one of those: a
    quantized base is refused. So peft asks once while gptqmodel cannot be found, and remembers the answer.

    Raises BuildError if it asks in vain.
    """
    import peft
    from peft import import_utils

    ask = getattr(import_utils, "is_gptqmodel_available", bool)  # other versions of peft may not ask
    with _hidden(GPTQMODEL):
        try:
            ask()
        except ImportError as error:
            raise BuildError(
                f"peft {peft.__version__} does not work beside {GPTQMODEL}: {' '.join(str(error).split())}; "
                "use the intently-build of the serving environment, which has none"
            ) from error
    return peft


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Keeps a package from being found. One that is imported already stays imported."""
    before = sys.modules.pop(name, None)
    sys.modules[name] = None  # type: ignore[assignment]  # what the import system takes for "there is none"
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
