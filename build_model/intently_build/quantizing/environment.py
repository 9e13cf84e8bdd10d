"""The environment that the quantizing tools are installed in: this one, or the build environment beside it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from intently_build.errors import BuildError

VARIABLE = "INTENTLY_BUILD_ENV"
FOLDER = ".venv-build"
INSTALL = "make build-env"


@dataclass(frozen=True)
class Environments:
    """Where to look for a tool: the folder of the running environment, and the variables of the process."""

    prefix: Path
    variables: Mapping[str, str]

    @property
    def build(self) -> Path:
        """The folder of the build environment: INTENTLY_BUILD_ENV, or .venv-build beside the running one."""
        named = self.variables.get(VARIABLE)
        return Path(named).absolute() if named else self.prefix.parent / FOLDER

    def python_with(self, *tools: str, install: str = INSTALL) -> Path:
        """Returns the Python of an environment that has all of `tools`, this one first.

        Raises BuildError with the command that installs them, `install`, if neither has.
        """
        if all(find_spec(tool) is not None for tool in tools):
            return Path(sys.executable)
        python = self.build / "bin" / "python"
        missing = [tool for tool in tools if not python.exists() or not self._has(tool)]
        if missing:
            is_, it = ("is", "it") if len(missing) == 1 else ("are", "them")
            raise BuildError(
                f"{' and '.join(missing)} {is_} neither installed here nor in {self.build}: "
                f"`{install}` installs {it} there ({VARIABLE} may name another folder)"
            )
        return python

    def _has(self, tool: str) -> bool:
        """Whether the build environment has it."""
        return any((self.build / "lib").glob(f"python3*/site-packages/{tool}/__init__.py"))


def here() -> Environments:
    """Returns where this process would look."""
    return Environments(Path(sys.prefix), os.environ)
