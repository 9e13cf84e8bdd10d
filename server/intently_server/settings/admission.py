"""Settings: how much work waits for the engine, and for how long. `intently-build tune` derives them."""

from typing import Annotated

from pydantic import BaseModel, Field


class AdmissionSettings(BaseModel):
    """How much work waits for the engine, and for how long."""

    max_in_flight: Annotated[
        int, Field(gt=0, description="Requests in flight in all; more are refused with RESOURCE_EXHAUSTED.")
    ] = 1024
    max_running: Annotated[
        int, Field(gt=0, description="Requests inside the engine; the others wait their turn, fairly shared.")
    ] = 256
    max_queued_tokens: Annotated[
        int, Field(gt=0, description="Tokens of the prompts that wait, without the shared prefix.")
    ] = 1_000_000
    max_wait: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds in which an admitted request shall be answered, by the measured rate; one that would "
            "take longer is refused at once. A batch may take until its deadline. Keep it under a proxy's timeout.",
        ),
    ] = 0.8
