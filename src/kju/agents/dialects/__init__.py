"""The dialects in which models name actions: one table of actions for each. I/O-free.

None needs the vendor's package: an action is a map, as it is in the model's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...errors import UsageError
from . import anthropic, gym_anything, openai
from .arguments import ActionError, Options, Plan


class Dialect(NamedTuple):
    """One dialect.

    Attributes:
        name: Its name.
        plan: Returns the plan of one action.
        tool: Returns the definition of the tool for pictures of a width and height.
    """

    name: str
    plan: Callable[[Mapping[str, Any], Options], Plan]
    tool: Callable[[int, int], dict[str, Any]]


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("computer_20250124", anthropic.plan_20250124, anthropic.tool_20250124),
        Dialect("computer_20251124", anthropic.plan_20251124, anthropic.tool_20251124),
        Dialect("openai", openai.plan, openai.tool),
        Dialect("gym-anything", gym_anything.plan, gym_anything.tool),
    )
}


def dialect_of(name: str) -> Dialect:
    """Return a dialect.

    Raises:
        UsageError: It is unknown.
    """
    if name not in DIALECTS:
        raise UsageError(f"unknown dialect {name!r:.40}: choose {', '.join(DIALECTS)}")
    return DIALECTS[name]


__all__ = ["DIALECTS", "ActionError", "Dialect", "Options", "Plan", "dialect_of"]
