"""Admission: who may use the engine, in what order, and who is refused at once."""

from intently_server.admission.admission import Admission, Place
from intently_server.admission.bounds import AdmissionLoad, Bounds

__all__ = ["Admission", "AdmissionLoad", "Bounds", "Place"]
