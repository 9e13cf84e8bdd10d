"""Snapshots that Envoy must not be given, each with one fault; most of them Envoy itself would take."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from intently_release.xds.snapshot import Snapshot, discovery

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be bad.

    Attributes:
        kind: The document that has it.
        spoil: Puts it there.
        said: A part of the refusal.
        keeps_version: Whether the document's version_info stays as it was.
    """

    kind: str
    spoil: Callable[[Json], object]
    said: str
    keeps_version: bool = False


def spoiled(snapshot: Snapshot, fault: Fault) -> Snapshot:
    """A copy that has the fault."""
    document = json.loads(json.dumps(getattr(snapshot, fault.kind)))
    fault.spoil(document)
    if isinstance(document.get("resources"), list) and not fault.keeps_version:
        document = discovery(document["resources"])
    return replace(snapshot, **{fault.kind: document})


def weights_of(document: Json) -> list[Json]:
    """The weighted clusters of the first route that has any."""
    [host] = document["resources"][0]["virtual_hosts"]
    route = next(route for route in host["routes"] if "weighted_clusters" in route["route"])
    clusters: list[Json] = route["route"]["weighted_clusters"]["clusters"]
    return clusters


def _first(document: Json) -> Json:
    resource: Json = document["resources"][0]
    return resource


def _hosts(document: Json) -> list[Json]:
    hosts: list[Json] = _first(document)["virtual_hosts"]
    return hosts


def _routes(document: Json) -> list[Json]:
    routes: list[Json] = _hosts(document)[0]["routes"]
    return routes


def _weigh(*weights: object) -> Callable[[Json], object]:
    def spoil(document: Json) -> None:
        for cluster, weight in zip(weights_of(document), weights, strict=True):
            cluster["weight"] = weight

    return spoil


def _lead(**action: object) -> Callable[[Json], object]:
    return lambda document: _routes(document)[0]["route"].update(action)


def _aggregate(**changes: object) -> Callable[[Json], object]:
    return lambda document: document["resources"][2]["cluster_type"]["typed_config"].update(changes)


def _in_routes(faults: dict[str, tuple[Callable[[Json], object], str]]) -> dict[str, Fault]:
    return {name: Fault("rds", spoil, f"rds: {said}") for name, (spoil, said) in faults.items()}


_NO_SUCH = {"@type": "type.googleapis.com/no.Such"}

BAD_ROUTES = _in_routes(
    {
        "empty document": (lambda document: document.clear(), "resources is no list"),
        "resources no list": (lambda document: document.update(resources={}), "resources is no list"),
        "no resources": (lambda document: document["resources"].clear(), "resources is empty"),
        "no virtual hosts": (lambda document: _hosts(document).clear(), "virtual_hosts is empty"),
        "no routes": (lambda document: _routes(document).clear(), "routes is empty"),
        "all weights 0": (_weigh(0, 0), "weights of route weighted/intently.v1.IntentService/Classify sum to 0"),
        "weights over 100": (_weigh(100, 1), "weights of route weighted/intently.v1.IntentService/Classify sum to 101"),
        "weights under 100": (_weigh(90, 0), "weights of route weighted/intently.v1.IntentService/Classify sum to 90"),
        "negative weight": (_weigh(110, -10), "weights of route weighted/intently.v1.IntentService/Classify must be"),
        "weight of a half": (_weigh(99.5, 0.5), "weights of route weighted/intently.v1.IntentService/Classify must be"),
        "weight of true": (_weigh(99, True), "weights of route weighted/intently.v1.IntentService/Classify must be"),
        "no weighted cluster": (lambda document: weights_of(document).clear(), "clusters is empty"),
        "two of one name": (lambda document: document["resources"].append(_first(document)), "name given twice"),
        "two routes of one name": (
            lambda document: _routes(document).append({**_routes(document)[0], "match": {"path": "/"}}),
            "route given twice",
        ),
        "two routes of one match": (
            lambda document: _routes(document).append({**_routes(document)[0], "name": "other"}),
            "match given twice",
        ),
        "two hosts of one name": (lambda document: _hosts(document).append(_hosts(document)[0]), "virtual host given"),
        "two hosts of one domain": (
            lambda document: _hosts(document).append({**_hosts(document)[0], "name": "again"}),
            "domain given twice: *",
        ),
        "host without a name": (lambda document: _hosts(document)[0].pop("name"), "something has no name"),
        "a cluster twice": (
            lambda document: weights_of(document)[1].update(name="blue-first"),
            "cluster of route weighted/intently.v1.IntentService/Classify given twice: blue-first",
        ),
        "unknown weighted cluster": (
            lambda document: weights_of(document)[1].update(name="red-first"),
            "route weighted/intently.v1.IntentService/Classify leads to 'red-first', which is no cluster",
        ),
        "unknown cluster": (_lead(cluster="red"), "route pin-blue/intently.v1.IntentService/Classify leads to 'red'"),
        "unknown mirror": (_lead(request_mirror_policies=[{"cluster": "red"}]), "route pin-blue"),
        "route to two": (_lead(weighted_clusters={}), "route pin-blue/intently.v1.IntentService/Classify must lead"),
        "route to nowhere": (lambda document: _routes(document)[0].pop("route"), "route pin-blue"),
        "clusters not looked for": (lambda document: _first(document).update(validate_clusters=False), "validate_c"),
        "unknown type": (lambda document: _first(document).update(_NO_SUCH), "no.Such is no envoy.config.route"),
        "no type": (lambda document: _first(document).pop("@type"), "a resource without a type is no envoy.config"),
    }
) | {
    "not a number": Fault("rds", _weigh(float("nan"), 0), "rds is no JSON"),
    "wrong name": Fault("rds", lambda document: _first(document).update(name="others"), "and rds has others"),
    "wrong version": Fault(
        "rds", lambda document: document.update(version_info="1"), "version_info is not the hash", keeps_version=True
    ),
}
"""In the routes, found without Envoy."""

BAD = {
    "no listener": Fault("lds", lambda document: document["resources"].clear(), "lds: resources is empty"),
    "no HTTP": Fault("lds", lambda document: _first(document).update(filter_chains=[]), "intently takes no HTTP"),
    "no cluster": Fault("cds", lambda document: document["resources"].clear(), "cds: resources is empty"),
    "cluster missing": Fault("cds", lambda document: document["resources"].pop(), "'green-first', which is no cluster"),
    "cluster twice": Fault("cds", lambda document: document["resources"].append(_first(document)), "name given twice"),
    "aggregate of nobody": Fault("cds", _aggregate(clusters=["red", "blue"]), "'red', which is no cluster"),
    "aggregate of itself": Fault("cds", _aggregate(clusters=["blue-first"]), "'blue-first', which is no cluster"),
    "aggregate of one twice": Fault("cds", _aggregate(clusters=["blue", "blue"]), "blue-first given twice: blue"),
    "admin on TCP": Fault(
        "bootstrap",
        lambda document: document["admin"].update(address={"socket_address": {"address": "::", "port_value": 1}}),
        "must be a unix socket",
    ),
    "no admin": Fault("bootstrap", lambda document: document.pop("admin"), "must be a unix socket"),
    "no files named": Fault("bootstrap", lambda document: document.pop("dynamic_resources"), "names no file"),
}
"""In the other documents, found without Envoy."""

BAD_TO_ENVOY = {
    "unknown field": Fault("rds", lambda document: _routes(document)[0].update(mach={}), "mach"),
    "unknown field of the listener": Fault("lds", lambda document: _first(document).update(adress={}), "adress"),
    "unknown extension": Fault("cds", _aggregate(**_NO_SUCH), "no.Such"),
    "impossible value": Fault(
        "cds", lambda document: _first(document).update(connect_timeout="soon"), "connect_timeout"
    ),
    "port of none": Fault(
        "lds",
        lambda document: _first(document)["address"]["socket_address"].update(port_value=70000),
        "less than or equal to 65535",
    ),
}
"""Found by Envoy."""
