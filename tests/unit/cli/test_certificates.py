"""The commands that make, show and deny keys, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.cli import certificates as command
from kju.cli.network import Reach
from kju.errors import UsageError
from kju.remote.key_lists import KnownSender, KnownSenders
from kju.remote.trust import Trust

pytest.importorskip("cryptography")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "trust"))
    command.authority("the lab")
    return tmp_path / "trust"


def test_a_users_key_is_only_in_its_file(folder: Path, tmp_path: Path) -> None:
    command.user("ann", str(tmp_path / "ann.key"))
    assert b"PRIVATE KEY" in (tmp_path / "ann.key").read_bytes()
    assert [path.name for path in folder.glob("*.key")] == ["authority.key"]
    assert (folder / "user-ann.pem").exists()


def test_a_removed_user_gets_another_key(folder: Path, tmp_path: Path) -> None:
    command.user("ann", str(tmp_path / "one"))
    command.trust("ann", "control", remove=False)
    with pytest.raises(UsageError, match="kju trust ann --remove"):
        command.user("ann", str(tmp_path / "two"))
    command.trust("ann", "", remove=True)
    assert Trust(folder).roles() == {}
    command.user("ann", str(tmp_path / "two"))
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()


def test_a_router_runs_with_a_routers_certificate_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reach = Reach(listen=["tls/127.0.0.1:7447"])
    command.host(["127.0.0.1"], "")
    with pytest.raises(UsageError, match="kju cert router"):
        reach.options(router=True)
    command.router(["127.0.0.1"], str(tmp_path / "key"))
    command.take(str(tmp_path / "key"))
    assert "kju router" in capsys.readouterr().out
    tls = reach.options(router=True).tls
    assert tls is not None
    assert tls.key == str(folder / "router.key")
    tls = reach.options().tls
    assert tls is not None
    assert tls.key == str(folder / "host.key")


def test_a_sender_is_listed_accepted_and_forgotten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "SHA256:" + "a" * 43
    command.sender("zenoh:lab/x", "host1", key, forget=False)
    assert KnownSenders(folder).all() == {"lab/x": KnownSender("host1", key)}
    command.sender("", "", "", forget=False)
    assert capsys.readouterr().out.splitlines()[1].split() == ["lab/x", "host1", key]
    with pytest.raises(UsageError, match="name and the key"):
        command.sender("zenoh:lab/x", "host1", "abc", forget=False)
    command.sender("zenoh:lab/x", "", "", forget=True)
    assert KnownSenders(folder).all() == {}


def test_a_key_is_denied_by_its_file_or_its_fingerprint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.host([], "")
    capsys.readouterr()
    command.show()
    shown = capsys.readouterr().out.splitlines()
    key = next(line.split()[-1] for line in shown if line.startswith("host"))
    command.deny(str(folder / "host.pem"))
    assert capsys.readouterr().out == f"{key} is denied here\n"
    assert list(Trust(folder)._denied().keys) == [key]
    command.deny(key)
    with pytest.raises(UsageError, match="cannot be read"):
        command.deny(str(folder / "nothing.pem"))


def test_a_routers_key_is_not_denied_because_that_has_no_effect(folder: Path) -> None:
    trust = Trust(folder)
    trust.make_host("router1", [], "router")
    with pytest.raises(UsageError, match="would have no effect"):
        command.deny(str(folder / "router.pem"))
    assert not trust._denied().keys
