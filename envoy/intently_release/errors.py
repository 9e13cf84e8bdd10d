"""What can go wrong with a release, as one hierarchy. Each text is for the operator: what, where, and the remedy.

ReleaseError
├── ConfigProblem      release.yaml cannot be used
├── RenderProblem      what would be written is not what Envoy may be given
├── WriteProblem       Envoy's files cannot be written
├── ProxyProblem       Envoy cannot be started, reached or understood
├── StateProblem       the state file cannot be read or written
├── Busy               another command holds the state
├── ServerProblem      a color's server cannot be started, or does not become ready
└── Refused            the command makes no sense in the present state
"""


class ReleaseError(Exception):
    """Base of all errors that an operator is told of."""


class ConfigProblem(ReleaseError):
    """release.yaml cannot be used; the text names each field."""


class RenderProblem(ReleaseError):
    """What would be written is not what Envoy may be given."""


class WriteProblem(ReleaseError):
    """Envoy's files cannot be written; the text names the first, and says what Envoy has meanwhile."""


class ProxyProblem(ReleaseError):
    """Envoy cannot be started, reached or understood."""


class StateProblem(ReleaseError):
    """The state file cannot be read or written."""


class Busy(ReleaseError):
    """Another command holds the state; the text says which, and since when."""


class ServerProblem(ReleaseError):
    """A color's server cannot be started, or does not become ready."""


class Refused(ReleaseError):
    """The command makes no sense in the present state; the text says what would."""
