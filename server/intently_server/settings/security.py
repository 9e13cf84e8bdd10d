"""Settings: who may call, and over what."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


def _identity(text: str) -> str:
    """An identity as the server compares it: DNS names in lower case."""
    for kind in ("spiffe://", "dns:"):
        if text.startswith(kind) and len(text) > len(kind):
            return text.lower() if kind == "dns:" else text
    raise PydanticCustomError("identity", "must be spiffe://DOMAIN/PATH or dns:NAME")


class SecuritySettings(BaseModel):
    """Who may call, and over what."""

    tls_certificate: Annotated[
        Path | None,
        Field(description="PEM file of the server's certificate and those between it and its authority: turns TLS on."),
    ] = None
    tls_key: Annotated[
        Path | None,
        Field(
            validate_default=True,
            description="PEM file of the certificate's private key: RSA, P-256 or P-384, without a password.",
        ),
    ] = None
    tls_client_ca: Annotated[
        Path | None,
        Field(
            description="PEM file of authorities: every caller, probes too, must then show a certificate of theirs "
            "(mTLS)."
        ),
    ] = None
    allow_identity: Annotated[
        list[Annotated[str, AfterValidator(_identity)]],
        Field(
            description="An identity that may call, as the caller's certificate shows it: spiffe://DOMAIN/PATH or "
            "dns:NAME, in full; may be repeated. By default any certificate of the authorities may. Health answers all."
        ),
    ] = []
    token_file: Annotated[
        Path | None,
        Field(
            description="File of tokens, of which every call but health's must carry one (metadata authorization: "
            "Bearer TOKEN); a line each: NAME and the token's SHA-256 in hexadecimal. A token and its line come from: "
            "openssl rand -hex 32 | tr -d '\\n' | tee NAME.token | sha256sum | awk '{print \"NAME\", $1}' >> FILE"
        ),
    ] = None
    allow_plaintext_tokens: Annotated[
        bool, Field(description="Take tokens without TLS beyond loopback, where a proxy in front ends TLS.")
    ] = False
    tls_reload_interval: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds between looks at certificates, keys and tokens; new ones are taken without a restart.",
        ),
    ] = 5.0
    model_service: Annotated[bool, Field(description="Serve ModelService.")] = True

    @field_validator("tls_key")
    @classmethod
    def _pair(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_certificate") is None):
            raise PydanticCustomError("incomplete", "this and --tls-certificate need each other")
        return key

    @field_validator("tls_client_ca")
    @classmethod
    def _with_certificate(cls, authorities: Path | None, info: ValidationInfo) -> Path | None:
        if authorities and not info.data.get("tls_certificate"):
            raise PydanticCustomError("incomplete", "needs --tls-certificate and --tls-key")
        return authorities

    @field_validator("allow_identity")
    @classmethod
    def _with_authorities(cls, identities: list[str], info: ValidationInfo) -> list[str]:
        if identities and not info.data.get("tls_client_ca"):
            raise PydanticCustomError("incomplete", "needs --tls-client-ca")
        return identities
