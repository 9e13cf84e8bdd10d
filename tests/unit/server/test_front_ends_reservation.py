"""An address that several processes of one server share, and that is nobody else's."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from intently_server.front_ends.reservation import Reservation
from intently_server.listening import AddressError


@pytest.fixture(params=["127.0.0.1", "localhost", "0.0.0.0", "[::]"])  # noqa: S104  # what a server may be told
def held(request: pytest.FixtureRequest) -> Iterator[Reservation]:
    """A free port of that host."""
    try:
        made = Reservation(f"{request.param}:0")
    except AddressError:
        pytest.skip(f"this machine has no {request.param}")
    with contextlib.closing(made):
        yield made


def listening(port: int, *, shared: bool, host: str = "127.0.0.1") -> socket.socket:
    """Somebody who listens there."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        made.bind((host, port))
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def port_of(held: Reservation) -> int:
    return int(held.address.rpartition(":")[2])


def test_who_shares_can_listen_and_nobody_else(held: Reservation) -> None:
    with listening(port_of(held), shared=True), listening(port_of(held), shared=True):
        socket.create_connection(("127.0.0.1", port_of(held))).close()
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        listening(port_of(held), shared=False)


def test_it_takes_no_calls_itself(held: Reservation) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(held)))


@pytest.mark.parametrize("shared", [True, False])
def test_an_address_where_somebody_listens_is_refused(shared: bool) -> None:
    with listening(0, shared=shared) as other:
        port = other.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):  # noqa: S104
            with pytest.raises(AddressError, match=rf"cannot listen on {host}:{port}: Address already in use"):
                Reservation(f"{host}:{port}")


def test_what_is_left_of_a_server_before_is_in_nobodys_way() -> None:
    with listening(0, shared=False) as before:
        port = before.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller:
            before.accept()[0].close()  # first, and so the server's end of it stays in TIME_WAIT
            assert caller.recv(1) == b""

    with contextlib.closing(Reservation(f"127.0.0.1:{port}")), listening(port, shared=True):
        pass


def test_it_can_be_had_again(held: Reservation) -> None:
    held.close()

    with listening(port_of(held), shared=False):
        pass


@pytest.mark.parametrize("address", ["192.0.2.1:1", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:65536"])
def test_what_is_no_address_here_is_refused(address: str) -> None:
    with pytest.raises(AddressError, match=f"cannot listen on {address}"):
        Reservation(address)
