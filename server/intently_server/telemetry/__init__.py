"""Telemetry by OpenTelemetry: what calls do is counted, traced where sampled, and told to balancers."""

from intently_server.telemetry.telemetry import Telemetry
from intently_server.telemetry.vitals import FrontEndVitals, OwnVitals, Vitals

__all__ = ["FrontEndVitals", "OwnVitals", "Telemetry", "Vitals"]
