"""What differs between two bundles, by what their manifests say: labels, fields, evaluations, files."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf import json_format

from intently.v1 import bundle_pb2

# Lists whose entries are told apart by these keys; any other is compared as a whole.
_KEYS = {"operating_points": "name", "data": "name", "golden_vectors": "text"}
_LABELS, _EVALUATIONS, _FILES = "label_set.intents", "evaluations", "files"
_RUN = ("dataset", "split", "engine")


@dataclass(frozen=True)
class Change:
    """A value that differs.

    Attributes:
      what: the field, dotted, or the file or label.
      before, after: the two values; None where a side has none.
    """

    what: str
    before: object
    after: object

    @property
    def difference(self) -> float | None:
        """After less before, if both are numbers."""
        if isinstance(self.before, int | float) and isinstance(self.after, int | float):
            return self.after - self.before
        return None


@dataclass(frozen=True)
class LabelChanges:
    """How label sets differ.

    Attributes:
      added, removed: names.
      renamed: an added and a removed name with the same description and domain, which no other label has.
      reworded: labels of the same name with another description or domain.
      moved: labels of both that stand in another order among those of both.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[Change, ...]
    reworded: tuple[Change, ...]
    moved: tuple[str, ...]


@dataclass(frozen=True)
class BundleDiff:
    """All that differs.

    Attributes:
      labels: between the label sets' intents.
      fields: all other fields, the revision first.
      evaluations: figures by "dataset split, engine: figure".
      files: sizes and checksums by path.
      bytes: of all files, before and after.
    """

    labels: LabelChanges
    fields: tuple[Change, ...]
    evaluations: tuple[Change, ...]
    files: tuple[Change, ...]
    bytes: Change

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        labels = self.labels
        changed = (labels.added, labels.removed, labels.renamed, labels.reworded, labels.moved)
        return not any((*changed, self.fields, self.evaluations, self.files))


def compare(before: bundle_pb2.BundleManifest, after: bundle_pb2.BundleManifest) -> BundleDiff:
    """Returns all that differs between two manifests."""
    sides = [_as_json(before), _as_json(after)]
    flat = [dict(_flatten(side)) for side in sides]
    fields = _changes(*({key: value for key, value in side.items() if not _apart(key)} for side in flat))
    return BundleDiff(
        labels=_label_changes(before.label_set, after.label_set),
        fields=tuple(sorted(fields, key=lambda change: (change.what != "revision", change.what))),
        evaluations=_changes(*(dict(_figures(each)) for each in (before, after))),
        files=_changes(*({file.path: _file(file) for file in each.files} for each in (before, after))),
        bytes=Change("bytes", *(sum(file.size for file in each.files) for each in (before, after))),
    )


def _as_json(manifest: bundle_pb2.BundleManifest) -> dict[str, object]:
    fields: dict[str, object] = json_format.MessageToDict(manifest, preserving_proto_field_name=True)
    return fields


def _apart(key: str) -> bool:
    return key.startswith((_LABELS, f"{_EVALUATIONS}.")) or key in (_EVALUATIONS, _FILES)


def _flatten(value: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yields every value by its dotted path; of a list with names each entry by its name."""
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        if isinstance(inner, list) and name in _KEYS:
            seen: Counter[str] = Counter()
            for entry in inner:
                label = str(entry.get(_KEYS[name], ""))
                seen[label] += 1
                number = f" #{seen[label]}" if seen[label] > 1 else ""
                yield from _flatten({f"{name}[{label}]{number}": entry}, path)
        elif isinstance(inner, dict):
            yield from _flatten(inner, where)
        else:
            yield where, inner


def _figures(manifest: bundle_pb2.BundleManifest) -> Iterator[tuple[str, object]]:
    """Yields each figure of each evaluation."""
    for evaluation in manifest.evaluations:
        run = f"{evaluation.dataset} {evaluation.split}, {evaluation.engine}"
        figures = json_format.MessageToDict(evaluation, preserving_proto_field_name=True)
        for figure, value in _flatten({key: figure for key, figure in figures.items() if key not in _RUN}):
            yield f"{run}: {figure}", value


def _file(file: bundle_pb2.BundleFile) -> dict[str, object]:
    return {"size": file.size, "sha256": file.sha256, "affects_answers": file.affects_answers}


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Change, ...]:
    """Returns what differs, in the order of `before`, then of `after`."""
    names = list(dict.fromkeys([*before, *after]))
    changes = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(change for change in changes if change.before != change.after)


def _label_changes(before: bundle_pb2.LabelSet, after: bundle_pb2.LabelSet) -> LabelChanges:
    old, new = ({intent.name: intent for intent in each.intents} for each in (before, after))
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    renamed = _renamed({name: old[name] for name in removed}, {name: new[name] for name in added})
    common = [name for name in old if name in new]
    order = [name for name in new if name in old]
    return LabelChanges(
        added=tuple(name for name in added if name not in {change.after for change in renamed}),
        removed=tuple(name for name in removed if name not in {change.before for change in renamed}),
        renamed=renamed,
        reworded=tuple(
            Change(name, _wording(old[name]), _wording(new[name])) for name in common if old[name] != new[name]
        ),
        moved=tuple(sorted({name for pair in zip(common, order, strict=True) for name in pair if pair[0] != pair[1]})),
    )


def _renamed(removed: Mapping[str, bundle_pb2.Intent], added: Mapping[str, bundle_pb2.Intent]) -> tuple[Change, ...]:
    """Pairs names by wording; one that several labels share pairs none."""
    by_wording: dict[str, tuple[list[str], list[str]]] = {}
    for side, labels in enumerate((removed, added)):
        for name, intent in labels.items():
            if intent.description:
                by_wording.setdefault(_wording(intent), ([], []))[side].append(name)
    pairs = [names for names in by_wording.values() if len(names[0]) == len(names[1]) == 1]
    return tuple(Change("renamed", old[0], new[0]) for old, new in pairs)


def _wording(intent: bundle_pb2.Intent) -> str:
    return f"{intent.description} ({intent.domain})" if intent.domain else intent.description
