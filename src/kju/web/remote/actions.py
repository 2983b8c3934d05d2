"""The actions of a page on a screen of another computer: those that the sender's protocol has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ...client.input_requests import text_requests
from ...errors import UsageError
from ..access_list import Principal
from ..actions import PIECE, Report, TypedText, allowed_action
from ..messages import Act
from .screen import FarScreen


async def _info(screen: FarScreen, arguments: Any, report: Report) -> Any:  # noqa: ANN401  JSON
    return screen.facts()


async def _input(screen: FarScreen, arguments: Any, report: Report) -> Any:  # noqa: ANN401  JSON
    # The other computer refuses positions if its guest does not take them.
    return {"absolute": True, "lamps": None}


async def _type(screen: FarScreen, arguments: TypedText, report: Report) -> None:
    text, total = arguments.text, len(arguments.text)
    text_requests(0, text, arguments.layout, None, None)  # names missing characters first
    for begin in range(0, total, PIECE):
        report(begin, total)
        piece = text[begin : begin + PIECE]
        for request in text_requests(0, piece, arguments.layout, None, None):
            await screen.input(request.keys)
    report(total, total)


_ACTIONS: dict[str, Callable[[FarScreen, Any, Report], Awaitable[Any]]] = {
    "info": _info,
    "input": _input,
    "type": _type,
}


async def carry_out_remotely(
    principal: Principal,
    act: Act,
    report: Report,
    screen: FarScreen,
) -> Any:  # noqa: ANN401  JSON
    """Carry out an action, and return its result.

    Raises:
        KjuError: It is unknown, the session's role or machines do not allow it, another computer
            does not offer it, or it failed.
    """
    rule, arguments = allowed_action(principal, act)
    if rule.host_role is None and act.action != "start":
        return await rule.run(act.machine, arguments, report)
    run = _ACTIONS.get(act.action)
    if run is None:
        raise UsageError(
            f"{act.action} is not possible here: {act.machine} runs on another computer, so use it"
            " there"
        )
    return await run(screen, arguments, report)
