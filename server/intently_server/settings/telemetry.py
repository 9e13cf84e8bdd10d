"""Settings: what the server tells of itself."""

from pydantic import BaseModel


class TelemetrySettings(BaseModel):
    """What the server tells of itself."""
