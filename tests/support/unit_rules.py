"""The rules of unit tests: no sockets, no sleeping; a test that breaks one fails.

Only sleeping in the tests' own files counts, without `support.wait`, which polls until a condition
holds. The socket pair that wakes an event loop is part of asyncio.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = str(Path(__file__).parents[1])
WAIT = str(Path(__file__).with_name("wait.py"))
_OWN = (socket.__file__, __file__)
SOCKETS = {"socket.__new__", "socket.bind", "socket.connect"}
_recorders: list[list[str]] = []
_sleep = time.sleep


def _caller(depth: int) -> Any:
    """Return the first frame outside of this file and the socket module."""
    frame = sys._getframe(depth)
    while frame.f_back and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


def _record(what: str, frame: Any) -> None:
    place = f"{what} at {frame.f_code.co_filename}:{frame.f_lineno}"
    for recorder in _recorders:
        recorder.append(place)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _recorders or event not in SOCKETS:
        return
    frame = _caller(2)
    if frame.f_code.co_name != "_make_self_pipe":
        _record(event, frame)


def _guarded_sleep(seconds: float) -> None:
    frame = _caller(2)
    path = frame.f_code.co_filename
    if _recorders and seconds and path.startswith(TESTS) and path != WAIT:
        _record("time.sleep", frame)
    _sleep(seconds)


sys.addaudithook(_audit)  # cannot be removed; does nothing without a recorder


@contextlib.contextmanager
def violations() -> Iterator[list[str]]:
    """Record the sockets and sleeps of all threads while the block runs."""
    recorder: list[str] = []
    _recorders.append(recorder)
    time.sleep = _guarded_sleep
    try:
        yield recorder
    finally:
        # By identity: two lists may be equal.
        _recorders[:] = [each for each in _recorders if each is not recorder]
        if not _recorders:
            time.sleep = _sleep
