"""Health for orchestrators and proxies: grpc.health.v1 with Watch, kept in step with the server's life."""

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
        self.servicer = health_aio.HealthServicer()

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
        await self.servicer.set(LIVENESS, _status(live))
        for service in self._services:
            await self.servicer.set(service, _status(ready))


def _status(good: bool) -> int:
    status = health_pb2.HealthCheckResponse
    return int(status.SERVING if good else status.NOT_SERVING)
