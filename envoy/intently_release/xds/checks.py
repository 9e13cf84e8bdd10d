"""What Envoy accepts and should not be given: found here, before anything is written.

Envoy normalises weights that do not sum to 100, sends calls to clusters that do not exist, takes a virtual host list
that is empty for "no such method", and removes a listener that a list no longer names. None of that is ever meant.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from intently_release.errors import RenderProblem
from intently_release.xds.snapshot import Snapshot, version_of
from intently_release.xds.typed import CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE, objects, type_of

_ALL = 100
Object = Mapping[str, Any]


def check(snapshot: Snapshot) -> None:
    """Returns if Envoy may be given this.

    Raises:
        RenderProblem: says which document, and what is wrong with it.
    """
    _json("bootstrap", snapshot.bootstrap)
    _check_bootstrap(snapshot.bootstrap)
    listeners = _resources("lds", snapshot.lds, LISTENER_TYPE)
    clusters = _resources("cds", snapshot.cds, CLUSTER_TYPE)
    configurations = _resources("rds", snapshot.rds, ROUTES_TYPE)
    for kind, document in snapshot.secrets.items():
        _resources(kind, document, SECRET_TYPE)
    _check_listeners(listeners, {str(each["name"]) for each in configurations}, set(snapshot.secrets))
    known = {str(each["name"]) for each in clusters}
    _check_aggregates(clusters, known)
    for configuration in configurations:
        _check_routes(configuration, known)


def _json(kind: str, document: object) -> None:
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RenderProblem(f"{kind} is no JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise RenderProblem(f"{kind} is no JSON object")


def _resources(kind: str, document: Object, type_name: str) -> list[Object]:
    """The resources of a DiscoveryResponse: some, all of one type, each with a name of its own."""
    _json(kind, document)
    resources = _listed(kind, document, "resources")
    for resource in resources:
        if type_of(resource) != type_name:
            raise RenderProblem(f"{kind}: {type_of(resource) or 'a resource without a type'} is no {type_name}")
    _unlike(kind, "name", (_name(kind, each) for each in resources))
    if document.get("version_info") != version_of(resources):
        raise RenderProblem(f"{kind}: version_info is not the hash of the resources: {document.get('version_info')!r}")
    return resources


def _check_bootstrap(bootstrap: Object) -> None:
    admin = bootstrap.get("admin")
    address = admin.get("address") if isinstance(admin, Mapping) else None
    if not isinstance(address, Mapping) or set(address) != {"pipe"}:
        raise RenderProblem("bootstrap: the admin port must be a unix socket")
    dynamic = bootstrap.get("dynamic_resources")
    if not isinstance(dynamic, Mapping) or not {"lds_config", "cds_config"} <= set(dynamic):
        raise RenderProblem("bootstrap: names no file for listeners or for clusters")


def _check_listeners(listeners: list[Object], configurations: set[str], secrets: set[str]) -> None:
    for listener in listeners:
        managers = [each for each in objects(listener) if "stat_prefix" in each and "http_filters" in each]
        if not managers:
            raise RenderProblem(f"lds: listener {listener['name']} takes no HTTP")
        for manager in managers:
            rds = manager.get("rds")
            asked = rds.get("route_config_name") if isinstance(rds, Mapping) else None
            if asked not in configurations:
                raise RenderProblem(f"lds: asks for routes {asked!r}, and rds has {_names(configurations)}")
    for each in objects(listeners):
        if "sds_config" in each and each.get("name") not in secrets:
            raise RenderProblem(f"lds: asks for secret {each.get('name')!r}, and there are {_names(secrets)}")


def _check_aggregates(clusters: list[Object], known: set[str]) -> None:
    for cluster in clusters:
        for each in objects(cluster.get("cluster_type", {})):
            members = each.get("clusters", [])
            _check_known("cds", f"{cluster['name']} is made of", members, known - {str(cluster["name"])})
            _unlike("cds", f"member of {cluster['name']}", members)


def _check_routes(configuration: Object, known: set[str]) -> None:
    if configuration.get("validate_clusters") is not True:
        raise RenderProblem("rds: validate_clusters is not on: Envoy would take routes to unknown clusters")
    hosts = _listed("rds", configuration, "virtual_hosts")
    _unlike("rds", "virtual host", (_name("rds", host) for host in hosts))
    _unlike("rds", "domain", (domain for host in hosts for domain in host.get("domains", ())))
    for host in hosts:
        routes = _listed("rds", host, "routes")
        _unlike("rds", "route", (_name("rds", route) for route in routes))
        _unlike("rds", "match", (json.dumps(route.get("match"), sort_keys=True) for route in routes))
        for route in routes:
            _check_route(route, known)


def _check_route(route: Object, known: set[str]) -> None:
    name = route["name"]
    if "direct_response" in route:
        return
    action = route.get("route")
    if not isinstance(action, Mapping) or ("cluster" in action) == ("weighted_clusters" in action):
        raise RenderProblem(f"rds: route {name} must lead to a cluster or to weighted clusters")
    _check_known("rds", f"route {name} leads to", _leads_to(action), known)
    if isinstance(weighted := action.get("weighted_clusters"), Mapping):
        _check_weights(str(name), _listed("rds", weighted, "clusters"))


def _leads_to(action: Object) -> Iterator[object]:
    if "cluster" in action:
        yield action["cluster"]
    for mirror in action.get("request_mirror_policies", ()):
        yield mirror.get("cluster")
    if isinstance(weighted := action.get("weighted_clusters"), Mapping):
        for each in _listed("rds", weighted, "clusters"):
            yield each.get("name")


def _check_weights(route: str, clusters: list[Object]) -> None:
    _unlike("rds", f"cluster of route {route}", (_name("rds", each) for each in clusters))
    weights = [each.get("weight") for each in clusters]
    if not all(type(weight) is int and weight >= 0 for weight in weights):
        raise RenderProblem(f"rds: weights of route {route} must be whole numbers from 0: {weights}")
    if (total := sum(weight for weight in weights if weight)) != _ALL:
        raise RenderProblem(f"rds: weights of route {route} sum to {total}, not to {_ALL}")


def _check_known(kind: str, what: str, names: Iterable[object], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise RenderProblem(f"{kind}: {what} {name!r}, which is no cluster: {_names(known)}")


def _listed(kind: str, owner: Object, key: str) -> list[Object]:
    values = owner.get(key)
    if not isinstance(values, list | tuple) or not all(isinstance(value, Mapping) for value in values):
        raise RenderProblem(f"{kind}: {key} is no list of objects")
    if not values:
        raise RenderProblem(f"{kind}: {key} is empty")
    return list(values)


def _name(kind: str, owner: Object) -> str:
    name = owner.get("name")
    if not isinstance(name, str) or not name:
        raise RenderProblem(f"{kind}: something has no name")
    return name


def _unlike(kind: str, what: str, values: Iterable[str]) -> None:
    if twice := [value for value, count in Counter(values).items() if count > 1]:
        raise RenderProblem(f"{kind}: {what} given twice: {', '.join(twice)}")


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
