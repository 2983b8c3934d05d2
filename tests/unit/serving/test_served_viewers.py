"""The viewers of a screen and their limits."""

from __future__ import annotations

import pytest
from support.wire_scene import Scene

from kju.serving import served_viewers
from kju.serving.carrier import ServedViewer
from kju.serving.served_viewers import ViewerRegistry
from kju.wire.greeting import Admission
from kju.wire.messages import Goodbye, SessionHello
from kju.wire.sender_session import SenderSession

NAME = "lab/host1/debian"


def add(
    viewers: ViewerRegistry, number: str, user: str = "", *, rare_pings: bool = False
) -> ServedViewer:
    """Add a viewer with an open session."""
    scene = Scene()
    sender = SenderSession(scene.encoder, scene.consumer, lambda hello, raw: Admission(hello.role))
    hello = SessionHello(1, "view", ["zstd"], 1000, user, rare_pings=rare_pings)
    sender.receive(hello, 0.0)
    return viewers.add(number, f"to {number}", sender, 0.0)


def test_a_member_is_no_longer_a_viewer() -> None:
    viewers = ViewerRegistry(NAME)
    viewer = add(viewers, "a")
    viewers.make_member(viewer)
    assert (viewers.viewers, viewers.get("a")) == ({}, viewer)
    assert viewers.remove(viewer)
    assert not viewers.remove(viewer)
    assert viewers.all() == []


def test_the_limit_of_viewers_does_not_count_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_viewers, "MAX_VIEWERS", 2)
    viewers, hello = ViewerRegistry(NAME), SessionHello(1, "view", ["zstd"], 1000)
    add(viewers, "a")
    assert viewers.has_room(hello)
    viewers.starting["b"] = None
    assert not viewers.has_room(hello)
    assert viewers.has_room(SessionHello(1, "view", ["zstd"], 1000, audience=True))
    assert not viewers.has_room(SessionHello(1, "control", ["zstd"], 1000, audience=True))


def test_the_oldest_viewer_of_a_user_is_surplus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_viewers, "MAX_VIEWERS_PER_USER", 2)
    viewers = ViewerRegistry(NAME)
    first, *_ = [add(viewers, number, "ann") for number in "abc"]
    add(viewers, "d", "vic")
    assert viewers.surplus_of("ann") is first
    assert viewers.surplus_of("vic") is None
    assert viewers.surplus_of("") is None


def test_an_audience_limits_members_and_members_of_a_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS", 2)
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS_PER_USER", 1)
    viewers = ViewerRegistry(NAME)
    viewers.make_member(add(viewers, "a", "ann"))
    assert "ann has 1 mirrors" in viewers.member_limit("ann")
    assert viewers.member_limit("vic") == ""
    viewers.make_member(add(viewers, "b", "vic"))
    assert "is full" in viewers.member_limit("eve")


def test_every_viewer_is_checked_once_in_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_viewers, "BATCH", 2)
    viewers = ViewerRegistry(NAME)
    added = [add(viewers, number) for number in "abcd"]
    checked = viewers.next_to_check(10.0) + viewers.next_to_check(10.1)
    assert sorted(each.id for each in checked) == ["a", "b", "c", "d"]
    assert viewers.next_to_check(10.2) == []
    assert viewers.next_to_check(10.1 + served_viewers.CHECK_INTERVAL)
    viewers.remove(added[0])
    assert added[0] not in viewers.next_to_check(10.2 + served_viewers.CHECK_INTERVAL)


def test_members_may_be_silent_longer_than_viewers() -> None:
    viewers = ViewerRegistry(NAME)
    viewer, member = add(viewers, "a"), add(viewers, "b")
    viewers.make_member(member)
    late = served_viewers.VIEWER_TIMEOUT + 1
    assert viewers.is_timed_out(viewer, late)
    assert not viewers.is_timed_out(member, late)
    assert viewers.is_timed_out(member, served_viewers.MEMBER_TIMEOUT + 1)


def test_a_closed_session_counts_as_greeting() -> None:
    viewers = ViewerRegistry(NAME)
    viewer = add(viewers, "a")
    assert viewers.greeting() == []
    viewer.sender.receive(Goodbye(), 1.0)
    assert viewers.greeting() == [viewer]


def test_a_viewer_with_rare_pings_may_be_silent_longer() -> None:
    viewers = ViewerRegistry(NAME)
    viewer = add(viewers, "a", rare_pings=True)
    viewer.sender.pace.rate = 2.0
    missed = 4 * viewer.sender.quiet_time
    assert missed > served_viewers.VIEWER_TIMEOUT
    assert not viewers.is_timed_out(viewer, missed - 1)
    assert viewers.is_timed_out(viewer, missed + 1)
