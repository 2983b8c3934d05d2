"""Calls of the tools of `kju mcp`."""

from __future__ import annotations

from typing import Any

from kju.agents.mcp.results import ToolResult
from kju.agents.mcp.session import ToolSession


async def call(session: ToolSession, name: str, /, **values: Any) -> ToolResult:
    """Call a tool, which succeeds; return its result."""
    result = await session.call(name, values)
    assert not result.is_error, result.text
    return result


async def refused(session: ToolSession, name: str, /, **values: Any) -> str:
    """Call a tool, which fails and shows nothing; return the message."""
    result = await session.call(name, values)
    assert result.is_error and result.picture is None
    return result.text
