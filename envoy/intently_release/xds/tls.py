"""TLS of the listener, and which folder is watched for new certificates.

Each secret is a resource in a file of its own (SDS), which names the certificate's files: only so does Envoy watch a
folder for them and take up what is renamed into it, with no restart and no connection closed.
"""

from pathlib import Path

from intently_release.config import Tls
from intently_release.layout import Layout
from intently_release.xds.sources import watched
from intently_release.xds.typed import SECRET_TYPE, Json, extension, typed

CERTIFICATE = "certificate"
AUTHORITIES = "authorities"


def transport_socket(tls: Tls, layout: Layout) -> Json:
    """Of a filter chain: TLS 1.2 or later, and with `client_ca` only callers who show a certificate."""
    common: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [_asked(layout, CERTIFICATE)],
    }
    fields: Json = {"common_tls_context": common}
    if tls.client_ca is not None:
        common["validation_context_sds_secret_config"] = _asked(layout, AUTHORITIES)
        fields["require_client_certificate"] = True
    return extension(
        "envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", **fields
    )


def secrets(tls: Tls | None) -> dict[str, Json]:
    """Each secret by its name, which is also the kind of its file."""
    if tls is None:
        return {}
    folder = tls.folder.absolute()
    swapped = {"watched_directory": {"path": str(_watched_folder(folder))}}
    chain, key = ({"filename": str(folder / name)} for name in (tls.certificate, tls.key))
    pair = {"certificate_chain": chain, "private_key": key, **swapped}
    found = {CERTIFICATE: typed(SECRET_TYPE, name=CERTIFICATE, tls_certificate=pair)}
    if tls.client_ca is not None:
        trusted = {"trusted_ca": {"filename": str(folder / tls.client_ca)}, **swapped}
        found[AUTHORITIES] = typed(SECRET_TYPE, name=AUTHORITIES, validation_context=trusted)
    return found


def _watched_folder(folder: Path) -> Path:
    """Where the renames happen: a symlink is itself replaced, in the folder that holds it."""
    return folder.parent if folder.is_symlink() else folder


def _asked(layout: Layout, name: str) -> Json:
    return {"name": name, "sds_config": watched(layout, name)}
