"""Settings: how streams and servers end in order."""

from typing import Annotated

from pydantic import BaseModel, Field


class DrainSettings(BaseModel):
    """How streams and servers end in order."""

    stream_max_age: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds, less up to a tenth, after which a ClassifyStream is told to end in order, and "
            "its client opens another: weights of a release act only then.",
        ),
    ] = 1800.0
    drain_delay: Annotated[
        float,
        Field(
            ge=0,
            description="Seconds after SIGTERM in which the server is not ready but still answers, so that proxies "
            "notice; a second SIGTERM skips it.",
        ),
    ] = 2.0
    drain_timeout: Annotated[
        float, Field(ge=0, description="Seconds that calls in flight may take to finish after that.")
    ] = 30.0
