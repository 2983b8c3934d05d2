"""The network of programs that name none."""

from pathlib import Path

import pytest

from kju.store.paths import default_network, local_network


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_without_variables_it_is_the_socket_of_this_user(monkeypatch):
    monkeypatch.delenv("KJU_CONNECT", raising=False)
    # A user's key belongs to an address.
    monkeypatch.setenv("KJU_USER", "ann")
    assert default_network() == ([local_network()], "")


def test_variables_name_addresses_and_a_user(monkeypatch):
    monkeypatch.setenv("KJU_CONNECT", " host1.example:7447  tls/host2.example:1 ")
    monkeypatch.setenv("KJU_USER", "ann")
    assert default_network() == (["host1.example:7447", "tls/host2.example:1"], "ann")
    monkeypatch.delenv("KJU_USER")
    assert default_network().user == ""
