"""The frames of a page's WebSocket."""

from __future__ import annotations

import pytest

from kju.web.page_socket import binary_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (65_535, "827effff"),
        (65_536, "827f0000000000010000"),
    ],
)
def test_a_frame_states_its_length_in_the_shortest_form(size: int, head: str) -> None:
    data = bytes(size)
    assert binary_frame(data) == bytes.fromhex(head) + data
