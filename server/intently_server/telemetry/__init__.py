"""Telemetry by OpenTelemetry: what calls do is counted, traced where sampled, and told to balancers."""

from intently_server.telemetry.telemetry import Telemetry
from intently_server.telemetry.vitals import Vitals

__all__ = ["Telemetry", "Vitals"]
