"""Hashes of passwords."""

from __future__ import annotations

import pytest

from kju.errors import UsageError
from kju.web import passwords
from kju.web.passwords import hash_password, is_right

GOOD = "correct horse battery"


def test_only_the_same_password_is_right() -> None:
    stored = hash_password(GOOD)
    assert is_right(GOOD, stored)
    for wrong in ("", GOOD + " ", GOOD.upper(), "x" * 10_000):
        assert not is_right(wrong, stored)


def test_two_hashes_of_a_password_differ() -> None:
    assert hash_password(GOOD).hash != hash_password(GOOD).hash


def test_a_character_is_the_same_from_every_keyboard() -> None:
    assert is_right("cafe\N{COMBINING ACUTE ACCENT} au lait", hash_password("café au lait"))


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
def test_a_short_or_long_password_is_refused(password: str) -> None:
    with pytest.raises(UsageError, match="12 to 256 characters"):
        hash_password(password)


def test_unknown_users_cost_as_much_as_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_password(GOOD)
    costs: list[object] = []
    scrypt = passwords.hashlib.scrypt

    def counted(data: bytes, **how: object) -> bytes:
        costs.append({name: value for name, value in how.items() if name != "salt"})
        return bytes(scrypt(data, **how))  # type: ignore[call-overload]

    monkeypatch.setattr(passwords.hashlib, "scrypt", counted)
    assert not is_right("wrong password", stored)
    assert not is_right("wrong password", None)
    assert costs[0] == costs[1]


def test_nobody_has_the_password_of_unknown_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the hash of a password is, it is not that of nobody."""
    monkeypatch.setattr(passwords.hashlib, "scrypt", lambda data, **how: bytes(32))
    assert not is_right("any password", None)


def test_a_hash_with_older_parameters_stays_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 1 << 10)
    stored = hash_password(GOOD)
    monkeypatch.undo()
    assert stored.cost == 1 << 10
    assert is_right(GOOD, stored)
