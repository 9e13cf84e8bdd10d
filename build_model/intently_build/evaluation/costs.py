"""What mistakes cost a business: a matrix of the cost of predicting one label where another is right."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intently_build.calibration import Floats, Integers
from intently_build.errors import BuildError

OUT_OF_SCOPE = "out_of_scope"
"""What the files may call a row that has no intent, or is taken so; the label set's own name for it does as well."""

_Cost = Annotated[float, Field(allow_inf_nan=False)]


class _Sparse(BaseModel):
    """The JSON form: what is not named costs `default`, and nothing where the prediction is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: _Cost
    costs: dict[str, dict[str, _Cost]]


def read_costs(path: Path, intents: Sequence[str], out_of_scope: str | None) -> Floats:
    """Returns (labels, labels) the cost of acting on the column where the row is right; out of scope comes last.

    A CSV file has a label in each cell of its first row and first column, and a cost in every other cell. A JSON file
    is {"default": cost, "costs": {right: {predicted: cost}}}.

    Args:
      path: ends in .csv or .json.
      intents: in the order of the head's rows.
      out_of_scope: the label set's name of it, if it has one.

    Raises BuildError naming the cell or label that is wrong or missing.
    """
    rows = {name: row for row, name in enumerate(intents)}
    outside = {name: len(intents) for name in (OUT_OF_SCOPE, out_of_scope) if name and name not in rows}
    match path.suffix.lower():
        case ".csv":
            return _from_csv(path, {**rows, **outside})
        case ".json":
            return _from_json(path, {**rows, **outside})
    raise BuildError(f"{path}: a cost matrix must be a file .csv or .json")


def mean_cost(costs: Floats, right: Integers, decided: Integers) -> float:
    """Returns the mean over the rows of the cost of what was decided; both count out of scope as the last label."""
    return float(np.mean(costs[right, decided]))


def _from_json(path: Path, rows: Mapping[str, int]) -> Floats:
    try:
        sparse = _Sparse.model_validate(json.loads(_text(path)))
    except json.JSONDecodeError as error:
        raise BuildError(f"{path}: not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BuildError(f"{path}: {where}: {first['msg']}") from error
    labels = max(rows.values()) + 1
    costs = np.full((labels, labels), sparse.default)
    np.fill_diagonal(costs, 0.0)
    for right, columns in sparse.costs.items():
        for predicted, cost in columns.items():
            costs[_row(path, right, rows), _row(path, predicted, rows)] = cost
    return costs


def _from_csv(path: Path, rows: Mapping[str, int]) -> Floats:
    table = [line for line in csv.reader(_text(path).splitlines()) if line]
    if len(table) < 2:
        raise BuildError(
            f"{path}: no costs; the first row must name the predictions and the first column what is right"
        )
    columns = [_row(path, name, rows) for name in table[0][1:]]
    lines = [_row(path, line[0], rows) for line in table[1:]]
    for names, found in (("row", lines), ("column", columns)):
        _check_complete(path, names, found, rows)
    costs = np.zeros((len(lines), len(lines)))
    for row, line in zip(lines, table[1:], strict=True):
        if len(line) != len(table[0]):
            raise BuildError(f"{path}: row {line[0]!r} has {len(line) - 1} costs; the first row names {len(columns)}")
        costs[row, columns] = [_number(path, line[0], table[0][n], cell) for n, cell in enumerate(line[1:], start=1)]
    return costs


def _check_complete(path: Path, what: str, found: Sequence[int], rows: Mapping[str, int]) -> None:
    if len(set(found)) < len(found):
        raise BuildError(f"{path}: a {what} stands there twice")
    missing = {row: name for name, row in rows.items() if row not in found}
    if missing:
        first = ", ".join(map(repr, list(missing.values())[:3]))
        raise BuildError(f"{path}: no {what} for {first}{', ...' if len(missing) > 3 else ''}")


def _row(path: Path, name: str, rows: Mapping[str, int]) -> int:
    try:
        return rows[name.strip()]
    except KeyError:
        raise BuildError(f"{path}: {name!r} is no label of the bundle, nor {OUT_OF_SCOPE}") from None


def _number(path: Path, right: str, predicted: str, cell: str) -> float:
    try:
        cost = float(cell)
    except ValueError:
        cost = math.nan
    if not math.isfinite(cost):
        raise BuildError(f"{path}: row {right!r}, column {predicted!r}: {cell!r} is not a number")
    return cost


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets write a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the costs: {error}") from error
