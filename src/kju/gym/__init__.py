"""Machines as environments of Gymnasium: `Env` for one machine, `VectorEnv` for several.

`FleetVectorEnv` is for the machines of a fleet.

It needs the extra ``gym``.
"""

from __future__ import annotations

from ..extras import require

require("gym", "kju.gym")

import gymnasium  # noqa: E402  after the check, whose message names the extra

from .actions import (  # noqa: E402
    Actions,
    ChordActions,
    DialectActions,
    HeldKeyActions,
    PointerActions,
    TextActions,
)
from .env import Env  # noqa: E402
from .episode import EnvOptions, Moment  # noqa: E402
from .fleet_env import FleetVectorEnv  # noqa: E402
from .resets import ForkReset, RebootReset, Reset, RevertReset, SnapshotReset  # noqa: E402
from .stepping import Free, Lockstep, Settled, Stepping, UntilChanged  # noqa: E402
from .vector_env import VectorEnv  # noqa: E402

__all__ = [
    "Actions",
    "ChordActions",
    "DialectActions",
    "Env",
    "EnvOptions",
    "FleetVectorEnv",
    "ForkReset",
    "Free",
    "HeldKeyActions",
    "Lockstep",
    "Moment",
    "PointerActions",
    "RebootReset",
    "Reset",
    "RevertReset",
    "Settled",
    "SnapshotReset",
    "Stepping",
    "TextActions",
    "UntilChanged",
    "VectorEnv",
]

# A guest runs in real time: two equal episodes need not be equal.
gymnasium.register(
    "kju/Machine-v0",
    entry_point="kju.gym:Env",
    vector_entry_point="kju.gym.vector_env:vector_of",
    nondeterministic=True,
)
