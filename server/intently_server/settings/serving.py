"""Settings: what is served, and where."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field


class ServingSettings(BaseModel):
    """What is served, and where."""

    bundle: Annotated[Path, Field(description="Folder of the bundle to serve.")]
    profile: Annotated[
        Path | None,
        Field(
            description="File that intently-build tune wrote: engine and admission settings, for those that neither a "
            "flag nor the environment gives."
        ),
    ] = None
    address: Annotated[
        str,
        Field(
            description="HOST:PORT to listen on; port 0 takes a free one. Loopback unless told otherwise. Or "
            "unix:PATH, for those who may write to that socket."
        ),
    ] = "127.0.0.1:50051"
    front_ends: Annotated[
        int,
        Field(
            gt=0,
            description="Processes that answer calls on the address and share one engine, each with a part of all "
            "bounds: for engines that answer more than one process of Python can pass on. A batch has to fit into the "
            "part of one.",
        ),
    ] = 1
    front_end_port: Annotated[
        int,
        Field(
            ge=0,
            le=65_535,
            description="The first of as many ports as there are front ends, on the host of --address, where each "
            "answers by itself, beside the address: for a proxy that spreads calls and not only connections. 0 for "
            "none.",
        ),
    ] = 0
    model_label: Annotated[
        list[str], Field(description="A label by which callers may select this model, such as stable; may be repeated.")
    ] = []
    ready_file: Annotated[
        Path | None,
        Field(
            description='JSON file {"address", "admin", "pid", "machine", "vllm"} to write once the server is SERVING; '
            'with --front-end-port also "front_ends", a list of addresses.'
        ),
    ] = None
    reflection: Annotated[bool, Field(description="Serve gRPC reflection.")] = True

    @property
    def on_unix_socket(self) -> bool:
        """Whether the address is that of a unix socket, which this machine alone reaches, and which has no port."""
        return self.address.startswith(("unix:", "unix-abstract:"))

    @property
    def front_end_addresses(self) -> Sequence[str]:
        """HOST:PORT of each front end, by its place; empty if they have none of their own."""
        if not self.front_end_port:
            return ()
        host = self.address.rpartition(":")[0]
        return [f"{host}:{self.front_end_port + place}" for place in range(self.front_ends)]
