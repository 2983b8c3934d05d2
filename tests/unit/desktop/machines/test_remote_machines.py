"""Machines of other computers as entries, and the file of addresses."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kju.desktop.entry import MachineKey, MachineState
from kju.desktop.remote_machines import (
    MAX_ADDRESSES,
    MAX_SCREENS,
    RemoteAddress,
    address_fault,
    read_addresses,
    served,
    unreachable,
    write_addresses,
)
from kju.errors import FileError, KjuError, LimitError

HOST = "host1:7447"


def test_served_screens_run_and_have_a_round_trip() -> None:
    found = served(HOST, ["kju/up/lab/web", "kju/up/lab/db"], 0.01234)
    assert [entry.key for entry in found] == [
        MachineKey(HOST, "lab/db"),
        MachineKey(HOST, "lab/web"),
    ]
    assert {entry.state for entry in found} == {MachineState.RUNNING}
    assert {entry.round_trip for entry in found} == {0.012}


@pytest.mark.parametrize(
    "name",
    [
        "x" * 255,
        "a/" * 9 + "b",
        "\u202egnp.exe",
        "<b>bold</b>",
        "a b",
        "",
        "..",
        "a//b",
        "a\nb",
        "&x",
    ],
)
def test_a_name_that_is_no_screens_is_dropped(name: str) -> None:
    assert served(HOST, [f"kju/up/{name}", f"kju/to/{name}", name], 0.1) == []


def test_a_sender_of_ten_thousand_machines_is_bounded_and_says_so() -> None:
    keys = [f"kju/up/lab/m{number}" for number in range(10_000)]
    random.Random(7).shuffle(keys)
    found = served(HOST, keys, 0.1)
    assert len(found) == MAX_SCREENS
    assert "more than" in found[0].warnings[0]


def test_an_address_that_cannot_be_reached_keeps_its_machines() -> None:
    known = served(HOST, ["kju/up/lab/web"], 0.1)
    entry = unreachable(HOST, known, "connection refused\n\x1b[2J", 12.5)[0]
    assert entry.key == MachineKey(HOST, "lab/web")
    assert entry.state is MachineState.UNREACHABLE
    assert entry.next_try == 12.5
    assert entry.round_trip is None
    assert entry.reason.isprintable()


def test_an_address_that_never_answered_is_visible() -> None:
    assert unreachable(HOST, [], "no answer", 1.0)[0].key == MachineKey(HOST, HOST)


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
