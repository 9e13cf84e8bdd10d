"""Opens a target: the traffic of one process, by the kind of the target and the shape of what is sent."""

from intently.bench.plan import Plan, Shape, Share
from intently.bench.targets.grpc_calls import Calls
from intently.bench.targets.plugin import plugin_of
from intently.bench.targets.streams import streams_of
from intently.bench.targets.target import Speech
from intently.bench.targets.traffic import Traffic


def traffic_of(plan: Plan, share: Share) -> Traffic:
    """What the plan sends. A target's own libraries are imported if it is used."""
    kind = plan.target.kind
    if kind is Speech.PYTHON:
        return plugin_of(plan, share)
    if kind is Speech.HTTP:
        from intently.bench.targets.http_classify import HttpClassify

        return HttpClassify(plan, share)
    return streams_of(plan, share) if plan.shape is Shape.STREAM else Calls(plan, share)
