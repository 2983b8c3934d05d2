"""Machines as they are written down: TOML in, a checked definition out. I/O-free."""

from __future__ import annotations

from .definition import Definition, decode, write

__all__ = ["Definition", "decode", "write"]
