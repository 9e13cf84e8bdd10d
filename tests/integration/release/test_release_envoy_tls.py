"""TLS and mTLS at the real Envoy, and certificates that change under calls without one of them failing."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.errors import RenderProblem
from support.certificates import KeyPair, ServerFiles, issue, secure_channel, shown_serial, wait_shown
from support.rotation_load import RotationLoad
from support.two_colors import TwoColors, two_colors

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
ROTATIONS = 4
CLIENT_CA = "ca.crt"


class Versions:
    """A folder of certificates in which each version lies in a folder of its own.

    Args:
        folder: Where; made by the first version.
        swap: Puts a version in the place of the last one: by a link inside the folder or by one to it.
    """

    def __init__(self, folder: Path, swap: Callable[[Path, Path], None]) -> None:
        self.folder = folder
        self._swap = swap
        self._numbers = itertools.count()

    def write(self, pair: KeyPair, authority: trustme.CA) -> KeyPair:
        """A new version."""
        version = self.folder.parent / f"{self.folder.name}-{next(self._numbers)}"
        version.mkdir()
        ServerFiles(version).write(pair)
        (version / CLIENT_CA).write_bytes(authority.cert_pem.bytes())
        self._swap(self.folder, version)
        return pair


def swap_link_inside(folder: Path, version: Path) -> None:
    """As Kubernetes does: the names are links through `..data`, which is swapped by a rename."""
    folder.mkdir(exist_ok=True)
    for file in version.iterdir():
        name = folder / file.name
        if not name.is_symlink():
            name.symlink_to(Path("..data") / file.name)
    link_to(folder / "..data", version)


def link_to(link: Path, version: Path) -> None:
    """Makes the link lead there, by a rename."""
    partial = link.with_name(f"{link.name}-next")
    partial.symlink_to(version)
    partial.replace(link)


def replace_files(folder: Path, version: Path) -> None:
    """Each file by a rename: for a moment, key and certificate are of two pairs."""
    folder.mkdir(exist_ok=True)
    for file in version.iterdir():
        file.replace(folder / file.name)


SWAPS = {"link inside the folder": swap_link_inside, "link to the folder": link_to, "files": replace_files}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.contextmanager
def over_tls(folder: Path, *, client_ca: bool = False) -> Iterator[TwoColors]:
    """Envoy with the certificates of this folder."""
    tls = {"folder": folder, **({"client_ca": CLIENT_CA} if client_ca else {})}
    with two_colors(listener={"tls": tls}) as colors:
        yield colors


async def answered(colors: TwoColors, authority: trustme.CA, client: KeyPair | None = None) -> bool:
    """Whether a new connection gets an answer; otherwise it must fail as one that cannot be made does."""
    async with secure_channel(colors.address, authority, client) as channel:
        try:
            answer = await IntentServiceStub(channel).Classify(pb.ClassifyRequest(text="hello"), timeout=20)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
        return bool(answer.predictions)


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
async def test_certificates_change_under_calls(
    tmp_path: Path, authority: trustme.CA, swap: Callable[[Path, Path], None]
) -> None:
    versions = Versions(tmp_path / "tls", swap)
    serials = [versions.write(issue(authority), authority).serial]
    with over_tls(versions.folder) as colors:
        load = RotationLoad(colors.address, authority)
        async with load.running(streams=3):
            await wait_shown(colors.address, authority, serials[0])
            for _ in range(ROTATIONS):
                before = load.answered.copy()
                pair = versions.write(issue(authority), authority)
                await wait_shown(colors.address, authority, pair.serial)
                serials.append(pair.serial)
                await load.wait_more_than(before)

    assert load.failures == []
    assert load.unbroken_streams == 3
    assert len(set(serials)) == ROTATIONS + 1


async def test_a_caller_without_tls_gets_nothing(tmp_path: Path, authority: trustme.CA) -> None:
    ServerFiles(tmp_path).write(issue(authority))
    with over_tls(tmp_path) as colors:
        async with grpc.aio.insecure_channel(colors.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await IntentServiceStub(channel).Classify(pb.ClassifyRequest(text="hello"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await answered(colors, authority)


async def test_with_an_authority_of_callers_only_its_callers_are_answered(
    tmp_path: Path, authority: trustme.CA
) -> None:
    callers, strangers = trustme.CA(), trustme.CA()
    versions = Versions(tmp_path / "tls", swap_link_inside)
    pair = versions.write(issue(authority), callers)
    with over_tls(versions.folder, client_ca=True) as colors:
        assert await answered(colors, authority, issue(callers, "caller.example"))
        assert not await answered(colors, authority, issue(strangers, "caller.example"))
        assert not await answered(colors, authority)

        versions.write(pair, strangers)  # the authority of callers is rotated too
        stranger = issue(strangers, "caller.example")
        while not await answered(colors, authority, stranger):
            pass
        assert not await answered(colors, authority, issue(callers, "caller.example"))


async def test_a_key_of_another_certificate_keeps_the_last_good_pair(tmp_path: Path, authority: trustme.CA) -> None:
    versions = Versions(tmp_path / "tls", swap_link_inside)
    good, other = versions.write(issue(authority), authority), issue(authority)
    with over_tls(versions.folder) as colors:
        versions.write(KeyPair(other.key, good.chain), authority)
        while not sum(colors.envoy.stats("sds.certificate.key_rotation_failed").values()):
            pass
        assert await shown_serial(colors.address, authority) == good.serial
        assert await answered(colors, authority)
        versions.write(other, authority)
        await wait_shown(colors.address, authority, other.serial)


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key", CLIENT_CA])
def test_a_certificate_that_is_not_there_is_refused(tmp_path: Path, authority: trustme.CA, missing: str) -> None:
    ServerFiles(tmp_path).write(issue(authority))
    (tmp_path / CLIENT_CA).write_bytes(authority.cert_pem.bytes())
    (tmp_path / missing).unlink()

    with pytest.raises(RenderProblem, match=missing), over_tls(tmp_path, client_ca=True):
        pass
