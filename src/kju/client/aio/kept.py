"""Kept machines, for asyncio."""

from __future__ import annotations

from ...store import defined
from ...store.starting import launch_request
from ..machine import client_name
from .machine import Machine, launched


async def start(name: str, *, detach: bool = False) -> Machine:
    """Start a kept machine and attach to it with the control role: see `kju.start`."""
    return await launched(launch_request(defined.read(name), detach=detach, client=client_name()))
