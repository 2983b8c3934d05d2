"""Machines that exist, for asyncio: see `kju.client.defined`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Unpack

from ...protocol.launch_options import DefineOptions, takes
from ...store import definitions as store
from ...store.defining import launch_request
from .. import defined
from ..machine import client_name
from .machine import Machine, launched


@takes(DefineOptions)
async def define(
    name: str,
    image: str | os.PathLike[str] | None = None,
    **options: Unpack[DefineOptions],
) -> Path:
    """Define a machine, to be started by its name: see `kju.define`."""
    return await asyncio.to_thread(defined.define, name, image, **options)


async def clone(name: str, new_name: str) -> Path:
    """Clone a defined machine: see `kju.clone`."""
    return await asyncio.to_thread(defined.clone, name, new_name)


async def remove(name: str) -> list[Path]:
    """Remove a defined machine: see `kju.remove`."""
    return await asyncio.to_thread(defined.remove, name)


async def start(name: str, *, detach: bool = False) -> Machine:
    """Start a defined machine and attach to it with the control role: see `kju.start`."""
    return await launched(launch_request(store.read(name), detach=detach, client=client_name()))
