"""Links and sessions: used once, expired, revoked; only hashes are stored."""

from __future__ import annotations

import contextlib
import stat
import threading
import time
from pathlib import Path

import pytest

from kju.errors import UsageError
from kju.web import access as access_module
from kju.web.access import MAX_LIFETIME, SESSION_LIFETIME, Access, AccessError


class Clock:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(tmp_path: Path, clock: Clock) -> Access:
    return Access(tmp_path / "web", clock)


def test_a_link_is_exchanged_for_a_session_with_its_role_and_machines(access: Access) -> None:
    _, key = access.make_link("control", machines=["debian"], lifetime=60)
    made, token = access.exchange(key)
    assert (made.role, made.machines) == ("control", {"debian"})
    assert access.find(token) == access.get(made.id) == made
    assert made.may_use("debian")
    assert not made.may_use("other")


def test_a_link_without_machines_is_for_all(access: Access) -> None:
    made, _ = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    assert made.may_use("debian")


@pytest.mark.parametrize(
    ("role", "held"),
    [
        ("view", {"view"}),
        ("control", {"view", "control"}),
        ("manage", {"view", "control", "manage"}),
    ],
)
def test_a_role_includes_lower_ones(access: Access, role: str, held: set[str]) -> None:
    made, _ = access.exchange(access.make_link(role, machines=[], lifetime=60)[1])  # type: ignore[arg-type]
    assert {each for each in ("view", "control", "manage") if made.has_role(each)} == held


def test_a_link_is_used_as_often_as_it_may(access: Access) -> None:
    _, key = access.make_link("view", machines=[], lifetime=60, uses=2)
    access.exchange(key)
    access.exchange(key)
    with pytest.raises(AccessError, match=r"was used.*kju web link"):
        access.exchange(key)


def test_another_process_sees_that_a_link_was_used(tmp_path: Path, access: Access) -> None:
    _, key = access.make_link("view", machines=[], lifetime=60)
    other = Access(tmp_path / "web", access._clock)
    assert other.all().links
    access.exchange(key)
    with pytest.raises(AccessError):
        other.exchange(key)


def test_an_expired_link_is_refused(access: Access, clock: Clock) -> None:
    _, key = access.make_link("view", machines=[], lifetime=60)
    clock.now += 60
    with pytest.raises(AccessError):
        access.exchange(key)


@pytest.mark.parametrize("key", ["", "x", "x" * 43, "\ud800" * 43, "x" * 100_000])
def test_a_wrong_key_is_refused_without_a_write(tmp_path: Path, access: Access, key: str) -> None:
    with pytest.raises(AccessError):
        access.exchange(key)
    assert access.find(key) is None
    assert not (tmp_path / "web").exists()


def test_a_session_ends_after_half_a_day(access: Access, clock: Clock) -> None:
    made, token = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    clock.now += SESSION_LIFETIME - 1
    assert access.find(token) is not None
    clock.now += 1
    assert access.find(token) is access.get(made.id) is None


def test_a_session_ends_in_time_although_the_clock_was_set_back(
    access: Access, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    clock.now += SESSION_LIFETIME - 60
    assert access.find(token) is not None
    later = time.monotonic() + 61
    monkeypatch.setattr(access_module.time, "monotonic", lambda: later)
    clock.now -= 100
    assert access.find(token) is None


def test_a_session_from_the_future_is_not_valid(access: Access, clock: Clock) -> None:
    """The clock was set back by a day, and the server was started again."""
    _, token = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    clock.now -= 86400
    assert access.find(token) is None


@pytest.mark.parametrize("days", [-1, 1])
def test_a_link_is_not_valid_after_the_clock_was_moved_by_a_day(
    access: Access, clock: Clock, days: int
) -> None:
    _, key = access.make_link("view", machines=[], lifetime=600)
    clock.now += 86400 * days
    with pytest.raises(AccessError):
        access.exchange(key)
    _, fresh = access.make_link("view", machines=[], lifetime=600)
    assert access.exchange(fresh)


def test_revoking_a_link_ends_its_sessions(access: Access) -> None:
    name, key = access.make_link("view", machines=[], lifetime=60, uses=3)
    first, _ = access.exchange(key)
    second, _ = access.exchange(key)
    other, _ = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    assert access.revoke([name]) == [name, first.id, second.id]
    assert [access.get(each.id) for each in (first, second, other)] == [None, None, other]
    with pytest.raises(AccessError):
        access.exchange(key)


def test_revoking_a_used_up_link_ends_its_session(access: Access) -> None:
    name, key = access.make_link("view", machines=[], lifetime=60)
    made, _ = access.exchange(key)
    assert access.revoke([name]) == [made.id]


def test_revoking_one_session_leaves_the_others(access: Access) -> None:
    _, key = access.make_link("view", machines=[], lifetime=60, uses=3)
    first, _ = access.exchange(key)
    second, _ = access.exchange(key)
    assert access.revoke([first.id]) == [first.id]
    assert access.get(second.id) == second


def test_revoking_everything_leaves_nothing(access: Access) -> None:
    access.exchange(access.make_link("view", machines=[], lifetime=60, uses=3)[1])
    assert access.revoke([], everything=True) == ["L1", "S2"]
    assert (access.all().links, access.all().sessions) == ({}, {})


def test_an_unknown_id_is_an_error_and_changes_nothing(access: Access) -> None:
    made, _ = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    with pytest.raises(UsageError, match=r"the id L9; list them: kju web sessions"):
        access.revoke([made.id, "L9"])
    assert access.get(made.id) == made


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"role": "root"}, "unknown role 'root'; choose one of: view, control, manage"),
        ({"lifetime": 0}, "valid for 1 s to 30 d"),
        ({"lifetime": MAX_LIFETIME + 1}, "valid for 1 s to 30 d"),
        ({"lifetime": float("nan")}, "valid for 1 s to 30 d"),
        ({"uses": 0}, "uses, not 0"),
        ({"uses": 10_001}, "uses, not 10001"),
    ],
)
def test_a_value_out_of_range_is_refused(access: Access, wrong: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        access.make_link(**({"role": "view", "machines": [], "lifetime": 60} | wrong))


def test_the_file_has_hashes_only_and_is_private(tmp_path: Path, access: Access) -> None:
    _, key = access.make_link("view", machines=[], lifetime=60, uses=2)
    _, token = access.exchange(key)
    file = tmp_path / "web" / "access.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert key not in file.read_text()
    assert token not in file.read_text()


def test_a_damaged_file_is_an_error_with_its_path(tmp_path: Path, access: Access) -> None:
    access.make_link("view", machines=[], lifetime=60)
    (tmp_path / "web" / "access.json").write_text("{]")
    with pytest.raises(UsageError, match=r"access\.json: .*repair or remove it"):
        access.find("x" * 43)


def test_threads_read_the_file_in_turn(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an older list could stay in the place of a newer one, in which a session has ended."""
    made, token = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    read, both = access_module.read_list, threading.Barrier(2)
    met: list[bool] = []

    def slow(path: Path, kind: type) -> object:
        found = read(path, kind)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
            met.append(True)
        return found

    monkeypatch.setattr(access_module, "read_list", slow)
    access._read_state = None
    threads = [threading.Thread(target=access.find, args=(token,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (met, access.find(token)) == ([], made)
