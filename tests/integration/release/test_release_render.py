"""intently-release render: Envoy's files for this host, and by --out for an Envoy elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from intently_release.commands.main import run
from intently_release.layout import Layout
from support.certificates import ServerFiles, issue

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(60)]
THERE = "/run/intently"
KINDS = ("bootstrap", "cds", "lds", "rds")


def written(folder: Path) -> dict[str, Any]:
    """All documents of a folder by the names of their files."""
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def config_file(folder: Path, **parts: Any) -> Path:
    """A release.yaml for an Envoy elsewhere."""
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump({"run_dir": THERE, **parts}))
    return path


def weights(rds: Any) -> set[tuple[tuple[str, int], ...]]:
    """The weights of all routes that have any."""
    routes = [route["route"] for route in rds["resources"][0]["virtual_hosts"][0]["routes"]]
    return {
        tuple((each["name"], each["weight"]) for each in route["weighted_clusters"]["clusters"])
        for route in routes
        if "weighted_clusters" in route
    }


def test_files_of_this_host_lie_where_envoy_watches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--run-dir", str(tmp_path)]) == 0

    layout = Layout(tmp_path)
    files = [str(path) for path in (layout.bootstrap, *map(layout.xds, ("lds", "cds", "rds")))]
    assert all(Path(file).exists() for file in files)
    assert capsys.readouterr().out.splitlines() == files
    assert run(["render", "--run-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": files}


def test_with_tls_all_files_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = trustme.CA()
    ServerFiles(tmp_path).write(issue(authority))
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    tls = {"folder": str(tmp_path), "client_ca": "ca.crt"}
    config = tmp_path / "release.yaml"
    config.write_text(yaml.safe_dump({"run_dir": str(tmp_path / "run"), "listener": {"tls": tls}}))

    assert run(["render", "--config", str(config), "--json"]) == 0

    listed = {Path(file) for file in json.loads(capsys.readouterr().out)["files"]}
    assert listed == set((tmp_path / "run").rglob("*.json"))
    assert {file.name for file in listed} == {f"{kind}.json" for kind in (*KINDS, "certificate", "authorities")}


def test_files_for_elsewhere_lie_in_one_folder_and_name_the_paths_there(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    config = config_file(tmp_path)
    assert run(["render", "--config", str(config), "--out", str(out), "--green", "25", "--revision", "green=abc"]) == 0

    documents = written(out)
    assert set(documents) == {f"{kind}.json" for kind in KINDS}
    assert list(out.parent.iterdir()) == [out]
    source = documents["bootstrap.json"]["dynamic_resources"]["cds_config"]["path_config_source"]
    assert source == {"path": f"{THERE}/xds/cds/cds.json", "watched_directory": {"path": f"{THERE}/xds/cds"}}
    assert weights(documents["rds.json"]) == {(("blue-first", 75), ("green-first", 25))}
    assert '"exact": "abc"' in (out / "rds.json").read_text()
    assert not Path(THERE).exists()


def test_a_shift_changes_the_routes_alone(tmp_path: Path) -> None:
    config, out = config_file(tmp_path), tmp_path / "out"
    assert run(["render", "--config", str(config), "--out", str(out)]) == 0
    before = written(out)
    assert run(["render", "--config", str(config), "--out", str(out), "--green", "100"]) == 0

    changed = {name for name, document in written(out).items() if document != before[name]}
    assert changed == {"rds.json"}
    assert weights(before["rds.json"]) == {(("blue-first", 100), ("green-first", 0))}


def test_certificates_that_are_elsewhere_need_not_be_here(tmp_path: Path) -> None:
    config = config_file(tmp_path, listener={"tls": {"folder": "/etc/nowhere/tls", "client_ca": "ca.crt"}})
    out = tmp_path / "out"
    assert run(["render", "--config", str(config), "--out", str(out)]) == 0

    documents = written(out)
    assert set(documents) == {f"{kind}.json" for kind in (*KINDS, "certificate", "authorities")}
    assert "/etc/nowhere/tls/tls.crt" in json.dumps(documents["certificate.json"])


def test_what_envoy_refuses_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_file(tmp_path, listener={"address": "no address at all:50051"})
    assert run(["render", "--config", str(config), "--out", str(tmp_path / "out")]) == 2

    assert "Envoy refuses it" in capsys.readouterr().err
    assert written(tmp_path / "out") == {}


@pytest.mark.parametrize("arguments", [["--green", "5"], ["--revision", "blue=abc"]])
def test_weights_of_this_host_are_not_set_by_render(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(["render", "--run-dir", str(tmp_path), *arguments]) == 2

    assert "shift" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("revision", ["red=abc", "blue=", "blue", "abc"])
def test_a_revision_needs_a_color(revision: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["render", "--out", "x", "--revision", revision])

    assert "COLOR=REVISION" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["render", "--run-dir", THERE, "--out", str(tmp_path / "file" / "out")]) == 2

    assert f"--out {tmp_path}/file/out: Not a directory" in capsys.readouterr().err
