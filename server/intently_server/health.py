"""Health for orchestrators and proxies: grpc.health.v1 with Watch, kept in step with the server's life."""

from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

LIVENESS = ""
INTENT_SERVICE = "intently.v1.IntentService"
MODEL_SERVICE = "intently.v1.ModelService"


class Health:
    """Answers health checks: "" is whether this process lives, the services' names whether they can be called.

    Args:
        model_service: Whether ModelService is served; health knows no service that is not.
    """

    def __init__(self, *, model_service: bool = True) -> None:
        self._services = (INTENT_SERVICE, MODEL_SERVICE) if model_service else (INTENT_SERVICE,)
        self.servicer = _Servicer()

    async def starting(self) -> None:
        """Alive, not ready."""
        await self._set(live=True, ready=False)

    async def serving(self) -> None:
        """Alive and ready."""
        await self._set(live=True, ready=True)

    async def draining(self) -> None:
        """Alive, but to be sent nothing new."""
        await self._set(live=True, ready=False)

    async def dead(self) -> None:
        """To be replaced."""
        await self._set(live=False, ready=False)

    async def _set(self, *, live: bool, ready: bool) -> None:
        await self._say(LIVENESS, _status(live))
        for service in self._services:
            await self._say(service, _status(ready))

    async def _say(self, service: str, status: int) -> None:
        self.servicer.listed[service] = status
        await self.servicer.set(service, status)


class _Servicer(health_aio.HealthServicer):  # type: ignore[misc]  # it has no types
    """gRPC's own, and List, which that lacks: a call of it would raise, and be logged as our fault.

    Attributes:
        listed: The status of each service.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listed: dict[str, int] = {}

    async def List(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """The status of every service."""
        statuses = {service: health_pb2.HealthCheckResponse(status=status) for service, status in self.listed.items()}
        return health_pb2.HealthListResponse(statuses=statuses)


def _status(good: bool) -> int:
    status = health_pb2.HealthCheckResponse
    return int(status.SERVING if good else status.NOT_SERVING)
