"""Serves machines on the network.

`server` serves the machines of this computer, `served_machine` one of them, and `served_screen` one
screen: `registry` has its viewers, `audience` those that share one stream, `delivery` sends their
messages, and `shared_screen` has the pixels. `refusals` logs rejected connections.
"""

from __future__ import annotations

from .server import Server, anyone, find, serving

__all__ = ["Server", "anyone", "find", "serving"]
