"""A web server without machines, and a page of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.web_page import Page, web_server

from kju.web.server import WebServer


@pytest.fixture
async def server(runtime_folder: object) -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made


@pytest.fixture
async def page(server: WebServer) -> AsyncIterator[Page]:
    async with Page(server.url) as made:
        yield made
