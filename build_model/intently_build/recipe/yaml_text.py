"""YAML as recipes are written: plain values, and every key of a mapping once."""

from typing import Any

import yaml

from intently_build.errors import BuildError

_MERGE = "tag:yaml.org,2002:merge"  # <<, whose keys others may overrule


class _Twice(yaml.YAMLError):
    """A key stands in a mapping twice, of which the library would take the last in silence."""


class _Loader(yaml.SafeLoader):
    """Refuses such a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Returns the mapping that `node` spells."""
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            name, line = self.construct_object(key), key.start_mark.line + 1
            if name in lines:
                raise _Twice(f"line {line}: the key {name} stands here again, after line {lines[name]}; leave one out")
            lines[name] = line
        return super().construct_mapping(node, deep)


def read_yaml(text: str, source: str) -> Any:
    """Returns what `text` spells; `source` names it in errors. Raises BuildError naming a line."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a safe loader
    except _Twice as error:
        raise BuildError(f"{source}: {error}") from error
    except yaml.YAMLError as error:
        raise BuildError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
