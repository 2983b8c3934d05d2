"""Users in the file: with passwords, and named by a proxy only."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.errors import UsageError
from kju.web import access as access_module
from kju.web import access_list, passwords
from kju.web.access import SESSION_LIFETIME, Access, AccessError, WrongPasswordError
from kju.web.passwords import hash_password

GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 1 << 4)


@pytest.fixture
def access(tmp_path: Path) -> Access:
    made = Access(tmp_path / "web", lambda: 1_000_000.0)
    made.set_user("ann", "control", machines=["debian"], password=hash_password(GOOD))
    return made


def test_a_password_begins_a_session_with_the_users_rights(access: Access) -> None:
    made, token = access.log_in("ann", GOOD)
    assert (made.role, made.machines, made.user) == ("control", {"debian"}, "ann")
    assert made.title == f"ann/{made.id}"
    assert access.find(token) == access.get(made.id) == made
    assert made.expires == 1_000_000.0 + SESSION_LIFETIME


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(access: Access) -> None:
    access.set_user("pat")  # without a password
    found = set()
    for name, password in (("ann", "wrong"), ("bob", GOOD), ("pat", ""), ("S1", GOOD)):
        with pytest.raises(WrongPasswordError) as raised:
            access.log_in(name, password)
        found.add(str(raised.value))
    assert len(found) == 1
    assert access.all().sessions == {}


def test_the_file_has_no_password(access: Access, tmp_path: Path) -> None:
    _, token = access.log_in("ann", GOOD)
    text = (tmp_path / "web" / "access.json").read_text()
    assert GOOD not in text
    assert token not in text


@pytest.mark.parametrize("change", ["role", "machines", "password", "remove"])
def test_every_change_of_a_user_ends_the_users_sessions(
    access: Access, tmp_path: Path, change: str
) -> None:
    made, token = access.log_in("ann", GOOD)
    link, _ = access.exchange(access.make_link("view", machines=[], lifetime=60)[1])
    other = Access(tmp_path / "web", lambda: 1_000_000.0)  # as another process does
    if change == "remove":
        other.remove_user("ann")
    elif change == "password":
        other.set_user("ann", password=hash_password("another password"))
    elif change == "role":
        other.set_user("ann", "view")
    else:
        other.set_user("ann", machines=[])
    assert access.find(token) is None
    assert access.get(made.id) is None
    assert access.get(link.id) is not None


def test_a_change_keeps_the_rest_of_the_user(access: Access) -> None:
    access.set_user("ann", "manage")
    made, _ = access.log_in("ann", GOOD)
    assert (made.role, made.machines) == ("manage", {"debian"})
    access.set_user("ann", no_password=True)
    with pytest.raises(WrongPasswordError):
        access.log_in("ann", GOOD)


def test_a_password_that_is_changed_during_its_check_is_wrong(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_right(password: str, stored: object) -> bool:
        access.set_user("ann", password=hash_password("another password"))
        return True

    monkeypatch.setattr(access_module, "is_right", is_right)
    with pytest.raises(AccessError):
        access.log_in("ann", GOOD)


def test_a_user_has_some_sessions_and_then_loses_the_oldest(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_list, "MAX_SESSIONS_OF_USER", 2)
    access.set_user("bob", password=hash_password(GOOD))
    bob = access.log_in("bob", GOOD)[0]
    made = [access.log_in("ann", GOOD)[0] for _ in range(3)]
    assert [access.get(each.id) is not None for each in made] == [False, True, True]
    assert access.get(bob.id) is not None


def sessions_of_link(access: Access, count: int) -> list[str]:
    """Begin sessions of a new link; return their ids."""
    _, key = access.make_link("view", machines=[], lifetime=60, uses=count)
    return [access.exchange(key)[0].id for _ in range(count)]


def are_valid(access: Access, sessions: list[str]) -> list[bool]:
    return [access.get(each) is not None for each in sessions]


def test_a_link_has_some_sessions_and_then_loses_the_oldest(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_list, "MAX_SESSIONS_OF_LINK", 2)
    other = sessions_of_link(access, 1)
    assert are_valid(access, sessions_of_link(access, 3)) == [False, True, True]
    assert are_valid(access, other) == [True]


def test_a_session_with_an_open_page_ends_after_the_others(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_list, "MAX_SESSIONS_OF_LINK", 2)
    _, key = access.make_link("view", machines=[], lifetime=60, uses=4)
    first, second = (access.exchange(key)[0].id for _ in range(2))
    third = access.exchange(key, {first})[0].id
    assert are_valid(access, [first, second, third]) == [True, False, True]
    fourth = access.exchange(key, {first, third})[0].id
    assert are_valid(access, [first, third, fourth]) == [False, True, True]


def test_a_full_server_ends_a_session_of_the_owner_with_the_most(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_list, "MAX_SESSIONS", 4)
    many = sessions_of_link(access, 3)
    ann = access.log_in("ann", GOOD)[0].id
    few = sessions_of_link(access, 1)
    assert are_valid(access, [*many, ann, *few]) == [False, True, True, True, True]


def test_nobody_can_take_all_sessions() -> None:
    most, of_link, of_user = (
        access_list.MAX_SESSIONS, access_list.MAX_SESSIONS_OF_LINK, access_list.MAX_SESSIONS_OF_USER
    )  # fmt: skip
    assert of_user < of_link <= most / 8


def test_revoking_a_user_ends_the_sessions_and_keeps_the_user(access: Access) -> None:
    made = [access.log_in("ann", GOOD)[0].id for _ in range(2)]
    assert access.revoke(["ann"]) == made
    access.log_in("ann", GOOD)


def test_revoking_everything_keeps_the_users(access: Access) -> None:
    access.log_in("ann", GOOD)
    access.revoke([], everything=True)
    assert access.all().sessions == {}
    assert [*access.all().users] == ["ann"]


@pytest.mark.parametrize("name", ["", "S1", "L20", "a/b", "@ann", "a b", "x" * 65, "ann\n", "<b>"])
def test_an_invalid_name_is_refused(access: Access, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a user's name"):
        access.set_user(name)


def test_an_unknown_user_cannot_be_removed(access: Access) -> None:
    with pytest.raises(UsageError, match="no user 'bob'"):
        access.remove_user("bob")


def test_a_proxys_user_has_the_role_of_the_entry_or_that_of_others(access: Access) -> None:
    made = access.of_proxy_user("ann")
    assert made is not None
    assert (made.id, made.role, made.machines) == ("@ann", "control", {"debian"})
    assert access.of_proxy_user("bob") is access.get("@bob") is None
    access.proxy_role = "view"
    for name in ("bob", "ann"):
        made = access.of_proxy_user(name)
        assert made is not None
        assert access.get(made.id) == made
        assert made.role == ("control" if name == "ann" else "view")


def test_a_token_is_not_the_name_of_a_proxys_user(access: Access) -> None:
    access.proxy_role = "manage"
    assert access.find("@ann") is None
    assert access.find("@" + "a" * 42) is None
