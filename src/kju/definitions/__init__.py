"""Machines as they are written down: TOML in, a checked definition out. I/O-free."""

from __future__ import annotations

from .definition import DISK_BUSES, Definition, DiskBus, decode, write

__all__ = ["DISK_BUSES", "Definition", "DiskBus", "decode", "write"]
