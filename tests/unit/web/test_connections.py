"""The share of a server that one session, one user and one link can take."""

from __future__ import annotations

from kju.web.access_list import PROXY_USER, Principal
from kju.web.connections import CONNECTIONS, MAX_CONNECTIONS, PAGES, Share
from kju.web.site import MAX_SOCKETS

SHARE = Share("open pages", of_session=2, of_user=3, of_link=4)


def by_password(session: str, user: str = "ann") -> Principal:
    return Principal(session, "view", frozenset(), 0.0, user=user)


def by_link(session: str, link: str = "L1") -> Principal:
    return Principal(session, "view", frozenset(), 0.0, link=link)


def by_proxy(user: str) -> Principal:
    return Principal(PROXY_USER + user, "view", frozenset(), 0.0)


def test_a_session_has_its_share() -> None:
    present = [by_password("S1"), by_password("S1")]
    assert SHARE.refusal(by_password("S1"), present) == (
        "this session has 2 open pages, the most allowed: close some"
    )
    assert SHARE.refusal(by_password("S2"), present) == ""


def test_the_sessions_of_a_user_have_one_share() -> None:
    present = [by_password("S1"), by_password("S1"), by_password("S2")]
    assert SHARE.refusal(by_password("S3"), present) == (
        "the user ann has 3 open pages in all sessions, the most allowed"
    )
    assert SHARE.refusal(by_password("S3", "bob"), present) == ""
    assert SHARE.refusal(by_link("S3"), present) == ""


def test_the_sessions_of_a_link_have_one_share() -> None:
    present = [by_link(f"S{number}") for number in range(4)]
    assert SHARE.refusal(by_link("S9"), present) == (
        "the link L1 has 4 open pages in all sessions, the most allowed"
    )
    assert SHARE.refusal(by_link("S9", "L2"), present) == ""


def test_a_user_has_one_share_with_a_password_and_behind_a_proxy() -> None:
    present = [by_proxy("ann"), by_proxy("ann"), by_password("S1")]
    assert "the user ann has 3" in SHARE.refusal(by_proxy("ann"), present)
    assert "the user ann has 3" in SHARE.refusal(by_password("S2"), present)
    # The browsers of a proxy's user have one id: they are no session.
    assert SHARE.refusal(by_proxy("ann"), present[:2]) == ""


def test_nobody_can_take_a_whole_server() -> None:
    for share, most in ((PAGES, MAX_SOCKETS), (CONNECTIONS, MAX_CONNECTIONS)):
        assert share.of_session < share.of_user < share.of_link <= most / 2
