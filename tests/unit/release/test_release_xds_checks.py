"""What Envoy accepts and should not be given is found without it; what is missing is named."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.colors import Color, all_to
from intently_release.config import ReleaseConfig
from intently_release.errors import RenderProblem
from intently_release.layout import Layout
from intently_release.xds.checks import check
from intently_release.xds.snapshot import Snapshot, render
from intently_release.xds.validate import find_envoy, flattened
from support.bad_snapshots import BAD, BAD_ROUTES, Fault, spoiled, weights_of
from support.paths import ROOT

LAYOUT = Layout(Path("/run/release"))
EVERYTHING = ReleaseConfig.model_validate(
    {
        "listener": {"tls": {"folder": "/tls", "client_ca": "ca.crt"}, "cors_origins": ["https://a.example"]},
        "traffic": {"mirror_percent": 10, "sticky_header": "x-user"},
    }
)
GOOD = render(EVERYTHING, LAYOUT, all_to(Color.BLUE), {Color.BLUE: "a", Color.GREEN: "b"}, Color.GREEN)


def weighing(weights: tuple[Any, Any]) -> Snapshot:
    """The good snapshot with other weights on one route."""

    def spoil(document: dict[str, Any]) -> None:
        for cluster, weight in zip(weights_of(document), weights, strict=True):
            cluster["weight"] = weight

    return spoiled(GOOD, Fault("rds", spoil, ""))


def test_what_is_rendered_is_good() -> None:
    check(GOOD)


@pytest.mark.parametrize("fault", (BAD | BAD_ROUTES).values(), ids=BAD | BAD_ROUTES)
def test_a_fault_is_found_and_said_in_one_line(fault: Fault) -> None:
    with pytest.raises(RenderProblem) as caught:
        check(spoiled(GOOD, fault))

    assert fault.said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(weights=st.tuples(st.integers(-200, 300), st.integers(-200, 300)))
def test_weights_pass_only_as_shares_of_100(weights: tuple[int, int]) -> None:
    if sum(weights) == 100 and min(weights) >= 0:
        check(weighing(weights))
    else:
        with pytest.raises(RenderProblem, match="weights of route"):
            check(weighing(weights))


@given(share=st.integers(0, 100))
def test_every_share_of_100_passes(share: int) -> None:
    check(weighing((share, 100 - share)))


@given(weights=st.tuples(st.one_of(st.none(), st.booleans(), st.text(), st.floats(0, 100)), st.just(50)))
def test_weights_that_are_no_numbers_are_refused(weights: tuple[Any, int]) -> None:
    with pytest.raises(RenderProblem, match="weights of route"):
        check(weighing(weights))


@pytest.mark.parametrize("document", [{"resources": [Path("/")]}, {"resources": [{1, 2}]}])
def test_what_is_no_json_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RenderProblem, match="cds is no JSON"):
        check(replace(GOOD, cds=document))


def test_a_document_that_is_no_object_is_refused() -> None:
    bad: Any = []
    with pytest.raises(RenderProblem, match="bootstrap is no JSON object"):
        check(replace(GOOD, bootstrap=bad))


@pytest.mark.parametrize("missing", ["certificate", "authorities"])
def test_a_secret_that_is_asked_for_and_not_there_is_refused(missing: str) -> None:
    with pytest.raises(RenderProblem, match=f"asks for secret '{missing}'"):
        check(replace(GOOD, secrets={name: each for name, each in GOOD.secrets.items() if name != missing}))


def test_the_flattened_form_refers_to_nothing() -> None:
    text = str(flattened(GOOD))

    assert "path_config_source" not in text
    assert "watched_directory" not in text
    assert "/run/release/xds" not in text
    for part in ("weighted_clusters", "/tls/tls.crt", "/tls/tls.key", "/tls/ca.crt", "blue-first"):
        assert part in text


def test_envoy_is_found_beside_this_python() -> None:
    assert find_envoy() == Path(sys.executable).with_name("envoy")


@pytest.mark.parametrize("on_path", [True, False])
def test_another_envoy_is_found_on_path_and_none_is_said_with_the_remedy(tmp_path: Path, on_path: bool) -> None:
    """Asked of a Python that has no Envoy beside it."""
    (tmp_path / "bin").mkdir()
    python, envoy = tmp_path / "python", tmp_path / "bin" / "envoy"
    python.symlink_to(Path(sys.executable).resolve())
    if on_path:
        envoy.touch(mode=0o755)
    known = os.pathsep.join([str(ROOT / "envoy"), str(ROOT / "proto"), *sys.path])
    code = "from intently_release.xds.validate import find_envoy; print(find_envoy())"
    done = subprocess.run(
        [python, "-c", code], env={"PATH": str(envoy.parent), "PYTHONPATH": known}, capture_output=True, text=True
    )

    if on_path:
        assert done.stdout.strip() == str(envoy)
    else:
        assert "ProxyProblem: there is no envoy" in done.stderr
        assert "pip install" in done.stderr
