"""The committed code is what the .proto files generate."""

import sys
from importlib.metadata import version
from pathlib import Path

import google.rpc.status_pb2
import pytest
from grpc_tools import protoc

from support.paths import PROTO, ROOT

GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")
SERVICES = ("intent_service.proto", "model_service.proto")


def generate(target: Path) -> None:
    """Runs protoc as the build does."""
    googleapis = Path(google.rpc.status_pb2.__file__).parents[2]
    well_known = Path(protoc.__file__).parent / "_proto"
    protos = sorted(str(file) for file in (PROTO / "intently" / "v1").glob("*.proto"))
    services = [file for file in protos if file.endswith(SERVICES)]
    includes = ["", f"-I{PROTO}", f"-I{googleapis}", f"-I{well_known}"]
    assert protoc.main([*includes, f"--python_out={target}", f"--pyi_out={target}", *protos]) == 0
    assert protoc.main([*includes, f"--grpc_python_out={target}", f"--mypy_grpc_out={target}", *services]) == 0


def contents(folder: Path) -> dict[str, str]:
    files = [file for pattern in GENERATED for file in (folder / "intently" / "v1").glob(pattern)]
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def test_generated_code_is_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")  # protoc-gen-mypy_grpc
    generate(tmp_path)

    committed, fresh = contents(PROTO), contents(tmp_path)

    assert len(fresh) == 3 * 2 + len(SERVICES) * 2
    assert set(committed) == set(fresh)
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert stale == [], f"generate again, with grpcio-tools {version('grpcio-tools')}"


def test_every_proto_file_is_in_one_package() -> None:
    for file in PROTO.rglob("*.proto"):
        assert "\npackage intently.v1;\n" in file.read_text(encoding="utf-8"), file.relative_to(ROOT)
