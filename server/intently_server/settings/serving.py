"""Settings: what is served, and where."""

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
    model_label: Annotated[
        list[str], Field(description="A label by which callers may select this model, such as stable; may be repeated.")
    ] = []
    ready_file: Annotated[
        Path | None,
        Field(
            description='JSON file {"address", "admin", "pid", "machine", "vllm"} to write once the server is SERVING.'
        ),
    ] = None
    reflection: Annotated[bool, Field(description="Serve gRPC reflection.")] = True

    @property
    def on_unix_socket(self) -> bool:
        """Whether the address is that of a unix socket, which this machine alone reaches, and which has no port."""
        return self.address.startswith(("unix:", "unix-abstract:"))
