"""The manifests of envoy/kubernetes as a cluster gets them, by what tests ask of them."""

from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]

from intently_release.colors import Color
from intently_server.settings import Settings, read_settings
from support.kustomized import Object, built


class Manifests:
    """What a cluster gets of one folder."""

    def __init__(self, folder: Path) -> None:
        self.objects = built(folder)

    def kinds(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The one of that name."""
        [found] = [each for each in self.kinds(kind) if each["metadata"]["name"] == name]
        return found

    def pod(self, name: str) -> Object:
        """The spec of a Deployment's pods."""
        spec: Object = self.one("Deployment", name)["spec"]["template"]["spec"]
        return spec

    def server(self, color: Color) -> Object:
        """The server's container."""
        [container] = self.pod(f"intently-{color}")["containers"]
        return dict(container)

    def settings(self, color: Color) -> Settings:
        """As the server reads its arguments."""
        return read_settings(self.server(color)["args"])

    def envoy(self) -> Object:
        """Envoy's container."""
        [container] = self.pod("intently-envoy")["containers"]
        return dict(container)


def probes(container: Object) -> dict[str, Object]:
    """A container's probes by name."""
    return {name: probe for name, probe in container.items() if name.endswith("Probe")}


def invalid(each: Object, version: str) -> str:
    """What the schema has against an object; nothing where it is valid."""
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""
