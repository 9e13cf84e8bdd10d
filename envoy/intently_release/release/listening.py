"""Whether Envoy takes calls where callers come in: its admin port says LIVE even if somebody else has the address."""

import asyncio

from intently_release.config import host_of, port_of
from intently_release.errors import ProxyProblem
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.xds.names import LISTENER

_WITHIN_S = 5.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what listens on all listens there


async def must_listen(admin: EnvoyAdmin, address: str) -> None:
    """Returns if it listens on this HOST:PORT, as it was told last.

    Raises:
        ProxyProblem: names the address, and Envoy's reason.
    """
    reason = (await admin.refused_listeners()).get(LISTENER)
    if reason is not None:
        raise ProxyProblem(f"Envoy does not listen on {address} as it was told: {reason}")
    host = host_of(address)
    try:
        async with asyncio.timeout(_WITHIN_S):
            _, writer = await asyncio.open_connection(_LOOPBACK.get(host, host), port_of(address))
    except OSError as error:  # TimeoutError too
        raise ProxyProblem(f"nobody listens on {address}: {error}") from error
    writer.close()
