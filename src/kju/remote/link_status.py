"""The status of a mirror's link: whether its picture is the sender's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ..wire.greeting import Stage
from ..wire.receiver_session import ReceiverSession

#: Seconds without a message after which a picture is stale; a sender sends one every second.
STALE_TIME = 3.0
#: The sender's state without a picture: `kju.surface.State.UNAVAILABLE`.
UNAVAILABLE_STATE = 3


class LinkStatus(NamedTuple):
    """The status of a link.

    Attributes:
        live: The picture is the sender's.
        reason: Why not.
        state: The sender's own state; 0 while unknown.
    """

    live: bool
    reason: str
    state: int = 0


class StatusReport:
    """The status of a mirror's link, over all its sessions.

    Args:
        report: Called with each new status.

    Attributes:
        status: The last status.
        refusal: Why the last session was refused or ended; empty for none yet.
        answered: Set when a sender has answered.
        pictured: Set when there was a live picture.
    """

    def __init__(self, report: Callable[[LinkStatus], object]) -> None:
        self._report = report
        self.status = LinkStatus(False, "not connected yet")
        self.refusal = ""
        self.answered, self.pictured = asyncio.Event(), asyncio.Event()

    def update(self, receiver: ReceiverSession, silent: float, lacking: float) -> None:
        """Report the status, if it has changed.

        Args:
            receiver: The present session.
            silent: Seconds without a message.
            lacking: Seconds since when sent messages are missing; 0 or less for none.
        """
        if receiver.stage is Stage.OPEN:
            self.answered.set()
            status = _open_status(receiver, silent, lacking)
        else:
            if receiver.stage is Stage.CLOSED and receiver.reason:
                self.refusal = receiver.reason
                if not receiver.retry:
                    self.answered.set()
            status = LinkStatus(False, self.refusal or "connecting")
        if status.live:
            self.pictured.set()
        if status != self.status:
            self.status = status
            self._report(status)


def _open_status(receiver: ReceiverSession, silent: float, lacking: float) -> LinkStatus:
    state, reason = receiver.state or (0, "")
    if silent > STALE_TIME:
        return LinkStatus(False, "no message from the sender")
    if lacking > STALE_TIME:
        return LinkStatus(False, "messages of the sender are missing")
    if not receiver.picture.whole and state != UNAVAILABLE_STATE:
        return LinkStatus(False, "the picture was not received yet")
    return LinkStatus(True, reason, state)
