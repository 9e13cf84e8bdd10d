"""Admission: who may use the engine, in what order, and who is refused at once."""

from intently_server.admission.admission import Admission
from intently_server.admission.bounds import AdmissionLoad, Bounds
from intently_server.admission.place import Place

__all__ = ["Admission", "AdmissionLoad", "Bounds", "Place"]
