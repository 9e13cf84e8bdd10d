"""The document of /statusz as a page for people: no scripts, nothing loaded from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent); }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; opacity: .7; } td.n, th.n { text-align: right; }
code { font: 12px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.phase { display: inline-block; border-radius: 1rem; padding: 0 .75rem; color: #fff; background: #a15c00; }
.phase.serving { background: #1a7f37; } .phase.engine_dead { background: #c1121f; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 7rem; }
.tile b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; } .tile span, p { opacity: .7; }
summary { cursor: pointer; }
"""


def page(status: Mapping[str, Any], *, metrics: bool) -> str:
    """The page, which reloads itself every five seconds; `metrics` if there are any to link to."""
    links = ['<a href="/metrics">metrics</a>'] if metrics else []
    links.append('<a href="/statusz?format=json">JSON</a>')
    server, model = status["server"], status["model"]
    phase = escape(server["phase"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(model["name"])} · {phase}</title><style>{_STYLE}</style></head><body>
<h1>{escape(model["name"])} <span class="phase {phase}">{phase}</span></h1>
<p>intently-server {escape(server["version"])} on {escape(server["address"])}, up {_duration(server["uptime_s"])}
· {" · ".join(links)}</p>
{_tiles(status["load"])}
{_front_ends(status.get("front_ends", ()))}
{_latencies(status["last_minute"])}
<h2>Calls since the start</h2>
{_table(("method", "status", "reason", "count"), status["calls"])}
<h2>Last errors</h2>
{_table(("time", "method", "status", "reason", "fields", "exception"), status["last_errors"])}
<h2>Model</h2>
{_pairs({"revision": model["revision"], "label set version": model["label_set_version"]})}
{_folded(f"{len(model['intents'])} intents", ", ".join(model["intents"]))}
<h2>Settings</h2>
{_pairs(status["settings"])}
</body></html>
"""


def _tiles(load: Mapping[str, Any]) -> str:
    tiles = (f"<div class=tile><b>{_value(value)}</b><span>{_label(name)}</span></div>" for name, value in load.items())
    return f"<div class=tiles>{''.join(tiles)}</div>"


def _front_ends(rows: Sequence[Mapping[str, Any]]) -> str:
    """Nothing of a server that is one process."""
    return f"<h2>Front ends</h2>{_table(tuple(rows[0]), rows)}" if rows else ""


def _latencies(minute: Mapping[str, Any]) -> str:
    rows = [{"stage": name, **values} for name, values in minute["latency_ms"].items()]
    statuses = ", ".join(f"{count} {status}" for status, count in minute["calls_by_status"].items()) or "none"
    share = minute["cached_token_share"]
    cached = "" if share is None else f" · {share:.0%} of their tokens cached"
    return (
        f"<h2>Last {minute['seconds']:.0f} s</h2>"
        f"<p>{minute['answers']} answers{cached} · calls: {escape(statuses)} · times in ms, from histogram buckets</p>"
        + _table(("stage", "p50", "p90", "p99"), rows)
    )


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    body = "".join(f"<tr>{''.join(_cell(row[column]) for column in columns)}</tr>" for row in rows)
    if not body:
        return "<p>none</p>"
    numbers = {"count", "p50", "p90", "p99", "front_end", "pid", "calls", "requests_in_flight", "memory_mib"}
    head = "".join(f"<th{' class=n' if name in numbers else ''}>{_label(name)}</th>" for name in columns)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = (f"<tr><td>{_label(name)}</td><td><code>{_value(value)}</code></td></tr>" for name, value in values.items())
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><code>{escape(text)}</code></details>"


def _cell(value: object) -> str:
    number = isinstance(value, int | float)
    return f"<td{' class=n' if number else ''}>{_value(value)}</td>"


def _label(name: str) -> str:
    return escape(name.replace("_", " "))


def _value(value: object) -> str:
    if value is None:
        return "&ndash;"
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if count]
    return " ".join([*parts, f"{rest} s"])
