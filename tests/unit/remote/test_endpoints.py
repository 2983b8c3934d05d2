"""Options of a session that limit the peers which connect."""

from __future__ import annotations

import pytest

from kju.remote.endpoints import Options, Tls, endpoint

pytest.importorskip("zenoh")


@pytest.mark.parametrize(("descriptors", "pending"), [(1024, 512), (20_000, 2_000), (1, 1)])
def test_new_connections_take_half_of_the_open_files_at_most(
    descriptors: int, pending: int
) -> None:
    found = Options().zenoh((), descriptors)
    assert found["transport/unicast/accept_pending"] == pending


def test_links_are_closed_when_their_certificates_expire() -> None:
    found = Options(listen=[endpoint("tls/127.0.0.1:7447")], tls=Tls("a", "b", "c")).zenoh()
    assert found["transport/link/tls"]["close_link_on_expiration"] is True
