"""Admission: who may use the engine, in what order, and who is refused at once."""

from intently_server.admission.admission import Admission
from intently_server.admission.bounds import LEAST_RUNNING, AdmissionLoad, Bounds
from intently_server.admission.place import Place

__all__ = ["LEAST_RUNNING", "Admission", "AdmissionLoad", "Bounds", "Place"]
