"""What a server is made of, put together from its settings and its bundle."""

import os
from dataclasses import dataclass

from intently_server.admission import LEAST_RUNNING, Admission, Bounds
from intently_server.bundle import Bundle
from intently_server.classifier import Classifier
from intently_server.engine.base import Engine
from intently_server.health import Health
from intently_server.lifecycle import Lifecycle
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings, part_of_bound
from intently_server.telemetry import OwnVitals, Telemetry
from intently_server.validation import QueryLimits, QueryValidator


@dataclass(frozen=True, slots=True)
class Parts:
    """What the phases of a server's life share."""

    settings: Settings
    bundle: Bundle
    limits: QueryLimits
    lifecycle: Lifecycle
    health: Health
    admission: Admission
    vitals: OwnVitals
    telemetry: Telemetry
    stream_ages: StreamAges

    @classmethod
    def of(cls, settings: Settings, bundle: Bundle, stream_ages: StreamAges) -> "Parts":
        """The parts of a server that has no engine yet."""
        lifecycle = Lifecycle()
        admission = Admission(
            Bounds(
                max_in_flight=settings.max_in_flight,
                max_queued_tokens=settings.max_queued_tokens,
                max_running=settings.max_running,
                max_wait_s=settings.max_wait,
                least_running=part_of_bound(LEAST_RUNNING, settings.front_ends),
            )
        )
        vitals = OwnVitals(lifecycle, admission, settings.max_in_flight)
        return cls(
            settings=settings,
            bundle=bundle,
            limits=_query_limits(settings, bundle),
            lifecycle=lifecycle,
            health=Health(model_service=settings.model_service),
            admission=admission,
            vitals=vitals,
            # One of several front ends counts; the first process adds up what they have counted, and exports that.
            telemetry=Telemetry(settings, bundle.model, vitals, os.environ, exports=settings.front_ends == 1),
            stream_ages=stream_ages,
        )

    def classifier(self, engine: Engine) -> Classifier:
        """Who answers, once there is an engine."""
        model, settings = self.bundle.model, self.settings
        validator = QueryValidator(model.intents, self.limits, model.revision, settings.model_label)
        return Classifier(model, validator, self.admission, self.bundle.encoder, engine, settings.default_top_k)


def _query_limits(settings: Settings, bundle: Bundle) -> QueryLimits:
    limits = bundle.model.limits
    return QueryLimits(
        max_text_chars=min(settings.max_text_chars, limits.max_text_chars or settings.max_text_chars),
        max_context_turns=min(settings.max_context_turns, limits.max_context_turns),
    )
