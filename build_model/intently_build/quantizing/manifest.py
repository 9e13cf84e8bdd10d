"""What a bundle's manifest says of how its weights are stored."""

from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.quantizing.formats import DTYPE, find_format
from intently_build.quantizing.outcome import made_from


def stored_as(folder: Path) -> bundle_pb2.Quantization:
    """Returns how the weights of the checkpoint in `folder` are stored, by the record that quantizing leaves there."""
    identity = made_from(folder)
    if identity is None:
        return bundle_pb2.Quantization(method="none", bits=16, dtype=DTYPE)
    form = find_format(identity.form)
    return bundle_pb2.Quantization(method=form.method, bits=form.bits, group_size=identity.group_size, dtype=DTYPE)
