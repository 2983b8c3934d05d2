"""Serving machines on the network.

`server` serves machines, `served_screen` one screen to its viewers, `audience` the viewers that
share one stream.
"""

from __future__ import annotations

from .server import Server, anyone, find

__all__ = ["Server", "anyone", "find"]
