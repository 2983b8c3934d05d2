"""kju for asyncio: the names of `kju`, to be awaited where they wait.

`kju.aio.fleet` is imported when it is first used; it needs the extra ``fleet``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..client.aio import *  # noqa: F403
from ..client.aio import __all__ as __all__

if TYPE_CHECKING:
    from . import fleet as fleet
else:  # for a type checker every name would exist

    def __getattr__(name: str) -> object:
        if name == "fleet":
            return import_module(".fleet", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
