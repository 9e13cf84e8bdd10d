"""Reads a kustomization of envoy/kubernetes as far as those there go: resources, and JSON patches of them.

What it does not know it refuses, so that nothing is checked that a cluster would not get. A test holds it to what
kustomize itself makes of the same folders.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from support.paths import ROOT

Object = dict[str, Any]
FOLDER = ROOT / "envoy" / "kubernetes"
BUILT = (FOLDER / "base", *sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml")))
_KNOWN = {"apiVersion", "kind", "resources", "patches"}
_TARGETS = ({"kind", "labelSelector"}, {"kind", "name"})


def built(folder: Path) -> list[Object]:
    """All objects that a cluster gets.

    Raises:
        ValueError: for what it does not know.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := set(kustomization) - _KNOWN:
        raise ValueError(f"{folder}: {unknown}")
    objects = [each for name in kustomization["resources"] for each in _resource(folder / name)]
    for patch in kustomization.get("patches", ()):
        targets = [each for each in objects if _is_target(each, patch["target"])]
        if not targets:
            raise ValueError(f"{folder}: a patch of nothing: {patch['target']}")
        for each in targets:
            _patch(each, yaml.safe_load(patch["patch"]))
    return objects


def sources(folder: Path) -> set[Path]:
    """All files that it is made of."""
    kustomization = folder / "kustomization.yaml"
    named = [folder / name for name in yaml.safe_load(kustomization.read_text(encoding="utf-8"))["resources"]]
    below = [sources(each.resolve()) if each.is_dir() else {each.resolve()} for each in named]
    return {kustomization, *(path for paths in below for path in paths)}


def _resource(path: Path) -> list[Object]:
    if path.is_dir():
        return built(path)
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return [json.loads(json.dumps(each)) for each in documents]  # an anchor's uses would be one and the same object


def _is_target(each: Object, target: Object) -> bool:
    if set(target) not in _TARGETS:
        raise ValueError(f"a target by {set(target)}")
    if "name" in target:
        return bool((each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"]))
    label, _, value = target["labelSelector"].partition("=")
    return bool(each["kind"] == target["kind"] and each["metadata"].get("labels", {}).get(label) == value)


def _patch(each: Object, operations: list[Object]) -> None:
    for operation in operations:
        *parents, last = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
        place: Any = each
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        match operation["op"], place:
            case "add", list() if last == "-":
                place.append(operation["value"])
            case "replace", dict() if last in place:
                place[last] = operation["value"]
            case _:
                raise ValueError(f"cannot do {operation}")
