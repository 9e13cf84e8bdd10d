"""All attacks."""

from support.hostile.calls import CALL_ATTACKS
from support.hostile.connections import CONNECTION_ATTACKS
from support.hostile.dawdlers import DAWDLERS
from support.hostile.floods import FLOODS

ATTACKS = (*CONNECTION_ATTACKS, *FLOODS, *CALL_ATTACKS, *DAWDLERS)
