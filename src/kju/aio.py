"""kju for asyncio: the names of `kju`, to be awaited where they wait."""

from __future__ import annotations

from .client.aio import *  # noqa: F403
from .client.aio import __all__ as __all__
