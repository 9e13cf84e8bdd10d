"""Settings: what is logged, and how."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class LogSettings(BaseModel):
    """What is logged, and how."""

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The server's own log, on standard error.")
    ] = "INFO"
    log_format: Annotated[
        Literal["text", "json"],
        Field(description="Lines for people, or JSON objects with the ids of traces for a log store."),
    ] = "text"
    engine_log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="vLLM's log.")] = (
        "WARNING"
    )
