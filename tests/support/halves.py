"""Calls of both halves of the API, for tests that run with each."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import kju
import kju.aio

HALVES = {"kju": kju, "kju.aio": kju.aio}


class Api:
    """`kju` or `kju.aio` behind calls that return finished results.

    Args:
        name: A name in `HALVES`.
    """

    def __init__(self, name: str) -> None:
        self.module: Any = HALVES[name]
        self._runner = asyncio.Runner() if self.module is kju.aio else None

    def __call__(self, function: Any, *args: Any, **named: Any) -> Any:
        """Call a function, which may need a running loop."""
        if self._runner is None:
            return function(*args, **named)

        async def inside() -> Any:
            result = function(*args, **named)
            return await result if inspect.isawaitable(result) else result

        return self._runner.run(inside())

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
