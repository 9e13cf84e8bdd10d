"""Settings: how streams and servers end in order."""

from typing import Annotated

from pydantic import BaseModel, Field


class DrainSettings(BaseModel):
    """How streams and servers end in order."""

    drain_timeout: Annotated[
        float, Field(ge=0, description="Seconds that calls in flight may take to finish after SIGTERM.")
    ] = 30.0
