"""The configuration that a run directory is run by, kept there for the commands that change what runs."""

from collections.abc import Iterator

from pydantic import ValidationError

from intently_release.config import ReleaseConfig
from intently_release.errors import ConfigProblem, StateProblem
from intently_release.layout import Layout
from intently_release.state import replace_file

_OWNER_ONLY = 0o600  # environment variables of servers may be secrets
_OF_A_RELEASE = ("releasing", "traffic.mirror_percent")  # `up` does nothing by them: each release may have its own


def keep_config(config: ReleaseConfig, layout: Layout) -> None:
    """Writes it down, with absolute paths. Only the supervisor may.

    Raises:
        StateProblem: names the file and what is wrong with it.
    """
    try:
        replace_file(layout.config, resolved(config, layout).model_dump_json(indent=2) + "\n", _OWNER_ONLY)
    except OSError as error:
        raise StateProblem(f"cannot write {layout.config}: {error.strerror}") from error


def kept_config(layout: Layout) -> ReleaseConfig | None:
    """What was written down; None where nothing runs.

    Raises:
        ConfigProblem: names the file, and what to do.
    """
    try:
        return ReleaseConfig.model_validate_json(layout.config.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigProblem(f"cannot read {layout.config}: {error.strerror}") from error
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) or "(file)" for each in error.errors())
        raise ConfigProblem(
            f"{layout.config} cannot be used ({fields}): `intently-release up --config FILE` writes it anew"
        ) from error


def forget_config(layout: Layout) -> None:
    """Removes it: nothing is run by it any more."""
    layout.config.unlink(missing_ok=True)


def resolved(config: ReleaseConfig, layout: Layout) -> ReleaseConfig:
    """The same to whoever reads it in another folder."""
    listener, servers = config.listener, config.servers
    if listener.tls is not None:
        tls = listener.tls.model_copy(update={"folder": listener.tls.folder.absolute()})
        listener = listener.model_copy(update={"tls": tls})
    if servers.token_file is not None:
        servers = servers.model_copy(update={"token_file": servers.token_file.absolute()})
    return config.model_copy(update={"run_dir": layout.run_dir, "listener": listener, "servers": servers})


def differing(one: ReleaseConfig, other: ReleaseConfig) -> list[str]:
    """Names of the settings in which two differ, those left out that belong to a single release."""
    apart = _apart(one.model_dump(mode="json"), other.model_dump(mode="json"), "")
    return [name for name in apart if not name.startswith(_OF_A_RELEASE)]


def _apart(one: object, other: object, name: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from _apart(one.get(key), other.get(key), f"{name}.{key}".lstrip("."))
    elif one != other:
        yield name
