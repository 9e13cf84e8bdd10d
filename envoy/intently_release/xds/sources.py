"""Where Envoy reads a kind of resource from: a file that it watches."""

from intently_release.layout import Layout
from intently_release.xds.typed import Json


def watched(layout: Layout, kind: str) -> Json:
    """The ConfigSource of "lds", "cds" or "rds".

    The folder is watched, not the file, so that Kubernetes' swap of a ConfigMap's `..data` is noticed as a rename of
    the file itself is.
    """
    path = layout.xds(kind)
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"path_config_source": source, "resource_api_version": "V3"}
