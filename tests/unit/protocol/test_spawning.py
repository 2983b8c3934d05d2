from __future__ import annotations

import signal

import pytest

from kju.protocol.spawning import DETACHED, FORKED, MAX_MESSAGE, exit_status


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (DETACHED, 0),
        (b"0", 0),
        (b"3", 3),
        (b"255", 255),
        (b"", -signal.SIGKILL),
        (b"256", -signal.SIGKILL),
        (b"-1", -signal.SIGKILL),
        (FORKED, -signal.SIGKILL),
    ],
)
def test_a_message_has_the_exit_status_or_the_host_was_killed(message: bytes, status: int) -> None:
    assert exit_status(message) == status


def test_every_message_fits_into_what_is_received() -> None:
    assert max(map(len, (FORKED, DETACHED, b"255"))) <= MAX_MESSAGE
