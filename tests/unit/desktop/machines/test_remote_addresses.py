"""Addresses of other computers, and the file that remembers them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.desktop.machines.remote_addresses import (
    MAX_ADDRESSES,
    RemoteAddress,
    address_fault,
    read_addresses,
    write_addresses,
)
from kju.errors import FileError, KjuError, LimitError

HOST = "host1:7447"


def test_addresses_are_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "desktop"
    assert read_addresses(folder) == []
    wanted = [RemoteAddress(HOST, "ann"), RemoteAddress("unix:/x")]
    write_addresses(folder, wanted)
    assert read_addresses(folder) == wanted


@pytest.mark.parametrize(
    "text", ["", "{}", '[{"connect": 5}]', '[{"connect": ""}]', "[" * 9999, "\xff"]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    write_addresses(tmp_path / "d", [])
    (tmp_path / "d" / "remote-machines.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=r"remote-machines\.json"):
        read_addresses(tmp_path / "d")


def test_too_many_addresses_are_refused(tmp_path: Path) -> None:
    many = [RemoteAddress(f"host{number}:1") for number in range(MAX_ADDRESSES + 1)]
    write_addresses(tmp_path / "d", many)
    with pytest.raises(LimitError):
        read_addresses(tmp_path / "d")


@pytest.mark.parametrize(
    ("address", "part"),
    [
        (RemoteAddress("host1"), "HOST:PORT"),
        (RemoteAddress("host1:7447"), "user name"),
        (RemoteAddress("tcp/host1:7447"), "unencrypted"),
        (RemoteAddress("127.0.0.1:7447"), ""),
        (RemoteAddress("host1:7447", insecure=True), ""),
    ],
)
def test_an_address_is_checked_before_it_is_followed(address: RemoteAddress, part: str) -> None:
    pytest.importorskip("zenoh")
    fault = address_fault(address)
    assert part in fault
    assert bool(fault) is bool(part)


def test_a_user_without_a_certificate_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zenoh")
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "trust"))
    with pytest.raises(KjuError):
        RemoteAddress("host1:7447", "ann").options()
