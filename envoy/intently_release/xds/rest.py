"""REST and browsers: JSON to gRPC by the transcoder, gRPC-Web, and which pages may call."""

import base64

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2

from intently.v1 import intent_service_pb2, model_service_pb2
from intently_release.config import ReleaseConfig
from intently_release.xds.names import INTENT_SERVICE, MODEL_SERVICE, PIN_HEADER, REVISION_HEADER
from intently_release.xds.typed import Json, extension, typed

CORS_FILTER = "envoy.filters.http.cors"
REST_PREFIX = "/v1/"
_DAY = "86400"  # how long a browser may remember what it was allowed, in seconds
_ASKED = ("authorization", "content-type", "grpc-timeout", "traceparent", "x-grpc-web", "x-intently-priority")
_TOLD = "grpc-status,grpc-message,grpc-status-details-bin"


def transcoder() -> Json:
    """The filter that makes gRPC of REST, by the `google.api.http` of our methods; errors become JSON too."""
    return extension(
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor_bin=base64.b64encode(_descriptors().SerializeToString(deterministic=True)).decode(),
        services=[INTENT_SERVICE, MODEL_SERVICE],
        print_options={"always_print_primitive_fields": True},
        convert_grpc_status=True,
        request_validation_options={"reject_unknown_method": True},
    )


def grpc_web() -> Json:
    """The filter that makes gRPC of what browsers speak."""
    return extension("envoy.filters.http.grpc_web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb")


def cors() -> Json:
    """The filter that answers browsers' preflights, by the policy of the virtual host."""
    return extension(CORS_FILTER, "envoy.extensions.filters.http.cors.v3.Cors")


def cors_policy(config: ReleaseConfig) -> Json:
    """Which pages may call, and with which headers."""
    headers = [*_ASKED, *((PIN_HEADER, REVISION_HEADER) if config.listener.pins else ())]
    if config.traffic.sticky_header:
        headers.append(config.traffic.sticky_header)
    return typed(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in config.listener.cors_origins],
        allow_methods="GET,POST,OPTIONS",
        allow_headers=",".join(headers),
        expose_headers=_TOLD,
        forward_not_matching_preflights=False,
        max_age=_DAY,
    )


def _descriptors() -> FileDescriptorSet:
    """Our services and all that they are made of; with the details that errors carry."""
    files: dict[str, FileDescriptor] = {}
    for module in (error_details_pb2, intent_service_pb2, model_service_pb2):
        _add(files, module.DESCRIPTOR)
    found = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(found.file.add())
    return found


def _add(files: dict[str, FileDescriptor], file: FileDescriptor) -> None:
    """Adds a file after those that it imports."""
    if file.name not in files:
        for imported in file.dependencies:
            _add(files, imported)
        files[file.name] = file
