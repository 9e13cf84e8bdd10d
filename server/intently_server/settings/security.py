"""Settings: who may call, and over what."""

from pydantic import BaseModel


class SecuritySettings(BaseModel):
    """Who may call, and over what."""
