"""kju for asyncio: the names of `kju`, to be awaited where they wait.

`kju.aio.fleet` is imported when it is first used; it needs the extra ``fleet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client.aio import *  # noqa: F403
from .client.aio import __all__ as __all__

if TYPE_CHECKING:
    from .fleet import aio as _fleet

    fleet = _fleet
else:  # for a type checker every name would exist

    def __getattr__(name: str) -> object:
        if name == "fleet":
            from .fleet import aio as found

            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
