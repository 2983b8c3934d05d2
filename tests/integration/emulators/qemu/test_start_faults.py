"""Faults that QEMU would report when it starts: QEMU's answers, its locks, and ports."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path

import pytest

from kju.emulators.qemu.arguments.user_options import parse
from kju.emulators.qemu.start_faults import (
    DiskUse,
    check_devices,
    check_disks,
    check_memory,
    check_ports,
)
from kju.errors import UsageError
from kju.store.disk_files import Chain, Layer

_PROGRAM = "/usr/bin/qemu"
_PRINTED = {
    ("-device", "help"): 'Display devices:\nname "virtio-vga", bus PCI\n'
    'name "ich9-ahci", bus PCI, alias "ahci"\nname "e1000", bus PCI, desc "a card"\n',
    ("-device", "virtio-vga,help"): "virtio-vga options:\n  addr=<str>   - slot\n"
    "  max_outputs=<uint32>\n",
    ("-device", "e1000,help"): "",
    ("-cpu", "help"): "Available CPUs:\n  qemu64    (alias)\nx86 486\n\n"
    "Recognized CPUID flags:\n  fpu vme\n",
}


def ask(program: str, words: tuple[str, ...]) -> str:
    assert program == _PROGRAM
    return _PRINTED[words]


@pytest.mark.parametrize(
    "words",
    [
        ["-device", "virtio-vga,id=a,bus=pci.0,addr=2,max_outputs=2"],
        ["-device", '{"driver": "virtio-vga", "max_outputs": 2}'],
        ["-device", "virtio-vga,x-secret=1,len-list=2,list[0]=3,part.key=4"],
        ["-device", "ahci,id=a"],
        ["-device", "e1000,anything=1"],  # this QEMU lists none of its properties
        ["-cpu", "qemu64,+vme"],
        ["-cpu", "host"],
        ["-device", ""],
    ],
)
def test_devices_and_processors_that_exist_are_accepted(words: list[str]) -> None:
    check_devices(parse(words), _PROGRAM, ask)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-device", "virtio-vgas"], r"no such device \(do you mean virtio-vga\?\)"),
        (["-device", "zebra"], r"no such device; to list them: /usr/bin/qemu -device help"),
        (["-device", "virtio-vga,max_output=2"], r"property 'max_output' \(do you mean max_outp"),
        (["-cpu", "fpu"], "no such processor"),
    ],
)
def test_unknown_devices_properties_and_processors_are_named(
    words: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        check_devices(parse(words), _PROGRAM, ask)
    assert error.value.option == "arguments"


def test_a_program_that_answers_nothing_refuses_nothing() -> None:
    asked: list[tuple[str, ...]] = []

    def silent(program: str, words: tuple[str, ...]) -> str:
        asked.append(words)
        return ""

    check_devices(parse(["-device", "x", "-cpu", "y"]), _PROGRAM, silent)
    assert {("-device", "help"), ("-cpu", "help")} <= set(asked)


@pytest.mark.parametrize(
    ("held", "read_only", "refused"),
    [
        ([], False, False),
        ([100], False, False),  # another one reads it
        ([101], False, True),  # another one writes it
        ([101], True, True),
        ([201], False, True),  # another one does not share its writing
        ([201], True, False),
    ],
)
def test_locked_disk_is_refused_as_qemu_refuses_it(
    tmp_path: Path, held: list[int], read_only: bool, refused: bool
) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"x" * 512)
    use = DiskUse(Chain((Layer(str(path), "raw", "disk"),)), read_only, "disks")
    holder = os.open(path, os.O_RDWR)
    try:
        for byte in held:
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0)
            fcntl.fcntl(holder, fcntl.F_OFD_SETLK, lock)
        if not refused:
            check_disks([use])
            return
        with pytest.raises(UsageError, match=r"a\.raw is in use by another process") as error:
            check_disks([use])
        assert error.value.option == "disks"
    finally:
        os.close(holder)


def test_layer_below_a_disk_is_only_read(tmp_path: Path) -> None:
    top, base = tmp_path / "top.raw", tmp_path / "base.raw"
    for path in (top, base):
        path.write_bytes(b"x" * 512)
    chain = Chain((Layer(str(top), "raw", "disk"), Layer(str(base), "raw", "backing")))
    with base.open("rb+") as holder:
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 201, 1, 0)
        fcntl.fcntl(holder, fcntl.F_OFD_SETLK, lock)
        check_disks([DiskUse(chain, False, "image")])
        with pytest.raises(UsageError, match=r"base\.raw is in use by another process"):
            check_disks([DiskUse(Chain((Layer(str(base), "raw", "disk"),)), False, "image")])


def test_disk_in_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    use = [DiskUse(Chain((Layer(str(path), "qcow2", "disk"),)), False, "image")]
    check_disks(use)  # it is still to be made
    path.write_bytes(b"MZ")
    with pytest.raises(UsageError, match="is not a qcow2 disk"):
        check_disks(use)
    path.write_bytes(b"QFI\xfb")
    check_disks(use)


@pytest.mark.parametrize(
    "value",
    [
        "user,hostfwd=tcp::{}-:22", "user,id=n,hostfwd=:127.0.0.1:{}-10.0.2.15:22",
        '{{"type":"user","id":"n","hostfwd":[{{"str":"tcp::{}-:22"}}]}}',
    ],
)  # fmt: skip
def test_port_in_use_is_refused(value: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=rf"tcp port {port} cannot be opened: .* uses it"):
            check_ports(parse(["-netdev", value.format(port)]))
        check_ports(parse(["-netdev", f"socket,id=n,connect=:{port}"]))
        check_ports(parse(["-netdev", f"user,id=n,hostfwd=tcp:no.such.name:{port}-:22"]))
    check_ports(parse(["-netdev", value.format(port)]))
    twice = f"user,hostfwd=udp::{port}-:1,hostfwd=udp::{port}-:2"
    with pytest.raises(UsageError, match="forwarded twice"):
        check_ports(parse(["-nic", twice]))


def test_more_memory_than_the_computer_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() != "0":
        pytest.skip("this computer promises more memory than it has")
    with pytest.raises(UsageError, match="900T of memory are more than") as error:
        check_memory("900T")
    assert error.value.option == "memory"
    for size in ("64M", "64", "0.5T", "lots", ""):
        check_memory(size)
