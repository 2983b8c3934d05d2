"""Calls of both halves of the API, for tests that run with each."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import kju
import kju.aio


class Api:
    """`kju` or `kju.aio` behind one call that returns finished results."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.loop = asyncio.new_event_loop() if module is kju.aio else None

    def __call__(self, result: Any) -> Any:
        if self.loop is None:
            return result
        assert inspect.isawaitable(result)
        return self.loop.run_until_complete(result)


def call(api: Api, function: Any, *args: Any, **named: Any) -> Any:
    """Call a function that may need a running loop."""
    if api.loop is None:
        return function(*args, **named)

    async def inside() -> Any:
        result = function(*args, **named)
        return await result if inspect.isawaitable(result) else result

    return api.loop.run_until_complete(inside())
