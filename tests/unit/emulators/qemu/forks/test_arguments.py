"""The user's own QEMU arguments in a fork."""

from __future__ import annotations

import pytest

from kju.emulators.qemu.forks.arguments import check, own_arguments
from kju.errors import ForkError


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-m", "2G", "-smp", "2", "-cpu", "max", "-M", "q35"],
        ["-nic", "user,model=e1000,hostfwd=tcp::5555-:22"],
        ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"],
        ["-nic", "none"],
        ["-drive", "file=/a.iso,media=cdrom"],
        ["-drive", "file=/a.img,if=virtio,readonly=on"],
        ["-device", "intel-hda", "-device", "virtio-balloon", "-device", "usb-storage,drive=d"],
        ["-serial", "file:/tmp/log", "-kernel", "/vmlinuz", "-append", "console=ttyS0"],
    ],
)
def test_these_machines_can_be_frozen(arguments: list[str]) -> None:
    check(arguments)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-nic", "tap,ifname=tap0"], "same MAC|MAC address on the same tap network"),
        (["-netdev", "bridge,id=n,br=br0"], "the same bridge network"),
        (["-net", "socket,listen=:1234"], "the same socket network"),
        (["-device", "virtio-sound-pci"], "cannot save the state of virtio-sound-pci"),
        (["-device", "usb-mtp,rootdir=/x"], "cannot save the state of usb-mtp"),
        (["-device", "usb-audio"], "cannot save the state of usb-audio"),
        (["-chardev", "qemu-vdagent,id=c"], "clipboard"),
        (["-tpmdev", "emulator,id=t,chardev=c"], "forks cannot share it"),
        (["-virtfs", "local,path=/x,mount_tag=t,security_model=none"], "shared folder"),
        (["-hda", "/a.img"], "kju run DISK"),
        (["/a.img"], "kju run DISK"),
        (["-drive", "file=/a.qcow2,if=virtio"], "kju run DISK"),
        (["-drive", "file=fat:rw:/folder"], "kju run DISK"),
        (["-blockdev", '{"driver": "file", "filename": "/a.raw"}'], "kju run DISK"),
        (["-snapshot"], "temporary disks"),
        (["-run-with", "user=nobody"], "changes its user"),
        (["-drive", "file=/a.qcow2,snapshot=on"], "temporary disks"),
        (["-object", "memory-backend-memfd,id=m,size=1G"], "--memory"),
    ],
)
def test_these_are_refused_with_the_reason(arguments: list[str], why: str) -> None:
    with pytest.raises(ForkError, match=why) as caught:
        check(["-m", "1G", *arguments])
    assert "cannot be frozen" in str(caught.value)


def test_fork_has_backends_of_its_own() -> None:
    given = [
        *("-m", "1G", "-serial", "file:/tmp/log", "-serial", "unix:/s,server", "-serial", "none"),
        *("-chardev", "socket,id=c,path=/x,server=on", "-device", "virtserialport,chardev=c"),
        *("-monitor", "stdio", "-qmp", "tcp::4444", "-vnc", ":1", "-pidfile", "/p", "-s"),
        *("-nic", "user,model=e1000,hostfwd=tcp::5555-:22,mac=52:54:00:12:34:56"),
        *("-append", "a=b,,c"),
    ]
    assert own_arguments(given) == [
        *("-m", "1G", "-serial", "null", "-serial", "null", "-serial", "none"),
        *("-chardev", "null,id=c", "-device", "virtserialport,chardev=c"),
        *("-nic", "user,model=e1000,mac=52:54:00:12:34:56"),
        *("-append", "a=b,,c"),
    ]


def test_serial_port_on_a_character_device_keeps_its_name() -> None:
    given = ["-chardev", "file,id=log,path=/a,,b", "-serial", "chardev:log"]
    assert own_arguments(given) == ["-chardev", "null,id=log", "-serial", "chardev:log"]
    assert own_arguments(own_arguments(given)) == own_arguments(given)


def test_fork_forwards_no_ports_of_a_json_network() -> None:
    given = '{"type": "user", "id": "n", "hostfwd": [{"str": "tcp::5555-:22"}]}'
    assert own_arguments(["-netdev", given]) == ["-netdev", '{"type": "user", "id": "n"}']


def test_fork_does_not_write_the_frozen_machines_files() -> None:
    given = [
        *("-object", "filter-dump,id=f,netdev=n,file=/a.pcap", "-object", "rng-builtin,id=r"),
        *("-audiodev", "wav,id=a,path=/a.wav", "-audiodev", "pa,id=b"),
    ]
    assert own_arguments(given) == [
        *("-object", "rng-builtin,id=r", "-audiodev", "none,id=a", "-audiodev", "pa,id=b")
    ]
