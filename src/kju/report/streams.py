"""SHELL: the streams of a machine besides its screen: input, events and serial port.

Each stream is read without waiting, whenever the record looks. All are bounded in number and bytes.
A stream that the machine does not have is empty.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import socket
from collections import deque
from typing import TYPE_CHECKING

from ..errors import KjuError
from .story import StoryEvent, described
from .tail import RecordedInput

if TYPE_CHECKING:
    from ..client.machine import Machine
    from ..client.waiting import Events
    from ..protocol.input_log import Input

# Bytes of the serial port that are kept, in at most so many entries; a read is one entry.
_MAX_SERIAL, _MAX_ENTRIES = 512 << 10, 2000
# Bytes of a read, and reads at a time: a guest may write faster than this process reads.
_READ_BYTES, _MAX_READS = 64 << 10, 32
# Escape sequences of terminals (ECMA-48): they would be spelled out between the words.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# The begin of one at the end of a read; a longer one is text.
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_MAX_BEGUN = 256


class Streams:
    """The streams of a record.

    Args:
        view: The record's own connection.
        input: The recorded input.
        began: The record's begin, seconds since the epoch.

    Attributes:
        input: The recorded input.
    """

    def __init__(self, view: Machine, input: RecordedInput, began: float) -> None:
        self.input = input
        self._began = began
        self._serial = _RecordedSerial(view)
        self._events: deque[StoryEvent] = deque(maxlen=_MAX_ENTRIES)
        self._subscription: Events | None = None
        with contextlib.suppress(KjuError):
            self._subscription = view.events(timeout=0)

    def read(self, now: float) -> None:
        """Read the new data of each stream; *now* is on the record's clock."""
        self.input.read(now)
        self._serial.read(now)
        self._read_events(now)

    def _read_events(self, now: float) -> None:
        with contextlib.suppress(KjuError, OSError):
            for event in self._subscription or ():
                time = min(max(event.time - self._began, 0.0), now)
                data = json.dumps(event.data, default=str) if event.data else ""
                words = f"{event.name} {data}".strip()
                self._events.append(StoryEvent(time, time, "event", words))

    def entries(self) -> list[Input]:
        """Return the input of all consoles."""
        return self.input.entries()

    def story_events(self) -> list[StoryEvent]:
        """Return everything as events of a story, each stream in its order."""
        done = described(self.input.entries(), self.input.console)
        return [*done, *self._serial.entries, *self._events]

    @property
    def forgotten(self) -> str:
        """A note about dropped data; empty if none was dropped."""
        notes = []
        if self.input.lost:
            notes.append(f"the first {self.input.lost} inputs are not kept")
        if self._serial.lost:
            notes.append(f"the first {self._serial.lost} bytes of the serial port are not kept")
        return "; ".join(notes)

    def close(self) -> None:
        """End the subscriptions. A second call does nothing."""
        self.input.close()
        self._serial.close()
        if self._subscription is not None:
            self._subscription.close()


class _RecordedSerial:
    """The newest output of a machine's serial port.

    Attributes:
        entries: The output, one entry for each read.
        lost: Bytes that were dropped because there were too many.
    """

    def __init__(self, view: Machine) -> None:
        """Connect to the port; its output until now is left out."""
        self.entries: deque[StoryEvent] = deque()
        self.lost: int = 0
        self._bytes = 0
        # A character or an escape sequence may arrive in two parts.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""
        self._socket: socket.socket | None = None
        with contextlib.suppress(KjuError, OSError):
            self._socket = view.serial()
            self._socket.setblocking(False)
            for _ in range(_MAX_READS):
                if not self._receive():
                    break

    def read(self, now: float) -> None:
        """Take the output since the last time."""
        for _ in range(_MAX_READS):
            if not (data := self._receive()):
                break
            text = self._whole(self._decoder.decode(data)).replace("\r", "").strip("\n")
            if text.strip():
                self.entries.append(StoryEvent(now, now, "serial", text))
                # The text without its escapes: the same bytes are subtracted when it is dropped.
                self._bytes += len(text.encode())
        while self._bytes > _MAX_SERIAL or len(self.entries) > _MAX_ENTRIES:
            dropped = len(self.entries.popleft().words.encode())
            self._bytes -= dropped
            self.lost += dropped

    def _whole(self, text: str) -> str:
        """Return a text without escape sequences; one that has begun waits for its rest."""
        text = self._begun + text
        begun = _BEGUN.search(text[-_MAX_BEGUN:])
        self._begun = begun[0] if begun else ""
        return _ESCAPES.sub("", text[: len(text) - len(self._begun)])

    def _receive(self) -> bytes:
        """Return the next bytes; empty before more arrive and after the end."""
        if self._socket is None:
            return b""
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data = b""
        if not data:
            self.close()
        return data

    def close(self) -> None:
        """Disconnect. A second call does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
