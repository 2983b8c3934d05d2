"""A screen served over zenoh on this computer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.link_scene import Ends, OpenLink, engine, free_port, outlet


@pytest.fixture
async def open_link() -> AsyncIterator[OpenLink]:
    """Return a function that serves a screen and opens an engine at each end of a new link.

    Everything is closed at the end of the test, the screen first.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def opened(
            screen: Any, *admission: Any, protocol: str = "tcp", datagrams: bool | None = None,
            tls: tuple[Any, Any] = (None, None), **options: Any,
        ) -> Ends:  # fmt: skip
            place = f"{protocol}/127.0.0.1:{free_port()}"
            enter = stack.enter_async_context
            here = await enter(engine(listen=[place], datagrams=datagrams, tls=tls[0]))
            there = await enter(engine(connect=[place], datagrams=datagrams, tls=tls[1]))
            return Ends(here, there, await enter(outlet(here, screen, *admission, **options)))

        yield opened
