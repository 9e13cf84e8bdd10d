"""A caller of a server's admin port."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

ADMIN_PATHS = ("/statusz", "/metrics", "/readyz", "/healthz")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the admin port."""

    status: int
    content_type: str
    text: str


def admin_address(ready_file: Path) -> str:
    """The admin port's address, as the ready file of a server that is SERVING says it."""
    return str(json.loads(ready_file.read_text())["admin"])


async def get(address: str, path: str, accept: str = "*/*", method: str = "GET", host: str | None = None) -> Page:
    """Asks for a page; `host` takes the place of the address in the Host header.

    Raises:
        aiohttp.ClientError: if nobody listens.
    """
    headers = {"Accept": accept} if host is None else {"Accept": accept, "Host": host}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session,
        session.request(method, f"http://{address}{path}", headers=headers) as response,
    ):
        return Page(response.status, response.headers.get("Content-Type", ""), await response.text())


async def statusz(address: str) -> dict[str, Any]:
    """The document of /statusz."""
    document: dict[str, Any] = json.loads((await get(address, "/statusz?format=json")).text)
    return document


class Metrics:
    """Metrics as Prometheus reads them.

    Args:
        text: Of /metrics.
    """

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name with these labels; the name ends as the sample's does."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def metrics(address: str) -> Metrics:
    """What /metrics says."""
    return Metrics((await get(address, "/metrics")).text)


async def wait_sum(address: str, least: float, name: str, **labels: str) -> None:
    """Returns once the sum of these samples is `least` or more; a test's own timeout bounds the wait."""
    while (await metrics(address)).sum(name, **labels) < least:  # noqa: ASYNC110  # a server tells nobody
        await asyncio.sleep(0.005)
