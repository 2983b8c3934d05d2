"""What is appended to a user's QEMU arguments, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import ConflictError, UsageError
from kju.host.arguments import Facts, Firmware, Plan, plan
from kju.host.image import Image, Kind, classify
from kju.host.options import fields, parse

FACTS = Facts("test", "x86_64", 7, "tcg", "why not", serial=8)


def make(*user: str, **facts: object) -> Plan:
    return plan(user, FACTS._replace(**facts))


def appended(*user: str, **facts: object) -> str:
    return " ".join(make(*user, **facts).arguments[len(user) :])


def test_the_users_arguments_come_first_and_whole() -> None:
    user = ("-m", "64", "-device", "VGA,id=mine", "-append", "a,b c")
    made = make(*user)
    assert tuple(made.arguments[: len(user)]) == made.user == user


def test_everything_appended_has_a_reason() -> None:
    assert all(part.reason and part.arguments for part in make().appended)


def test_defaults() -> None:
    text = appended()
    for wanted in (
        "-nodefaults",
        "-accel tcg",
        "-device VGA,id=kju-video",
        "usb-tablet",
        "-netdev user,id=kju-net",
        "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-display dbus,p2p=yes",
        "socket,id=kju-qmp,fd=7",
        "-chardev socket,id=kju-serial,fd=8 -serial chardev:kju-serial",
        "-name guest=test",
        "-m 1G",
    ):
        assert wanted in text


@pytest.mark.parametrize(
    ("user", "absent"),
    [
        (["-vga", "std"], "kju-video"),
        (["-vga", "none"], "kju-video"),
        (["-device", "virtio-vga,max_outputs=2"], "kju-video"),
        (["-device", '{"driver":"virtio-gpu-pci","id":"g"}'], "kju-video"),
        (["--device", "bochs-display"], "kju-video"),
        (["-device", "driver=cirrus-vga"], "kju-video"),
        (["-device", "usb-tablet"], "kju-tablet"),
        (["-device", "virtio-tablet-pci"], "kju-tablet"),
        (["-usbdevice", "tablet"], "kju-tablet"),
        (["-nic", "none"], "kju-net"),
        (["-netdev", "user,id=n"], "kju-net"),
        (["-net", "none"], "kju-net"),
        (["-device", "e1000e"], "kju-net"),
        (["-m", "64"], "-m "),
        (["-accel", "kvm"], "-accel"),
        (["-enable-kvm"], "-accel"),
        (["-machine", "q35,accel=tcg"], "-accel"),
        (["-cpu", "host"], "-cpu"),
        (["-sandbox", "off"], "-sandbox"),
        (["-nodefaults"], "-nodefaults"),
        (["-nodefaults"], "kju-video"),
        (["-nodefaults"], "kju-net"),
        (["-name", "mine"], "-name"),
        (["-M", "microvm"], "kju-video"),
        (["-serial", "none"], "kju-serial"),
        (["-device", "isa-serial,chardev=c"], "kju-serial"),
        (["-nodefaults"], "kju-serial"),
    ],
)
def test_a_category_the_user_named_is_left_alone(user: list[str], absent: str) -> None:
    assert absent not in appended(*user)


@pytest.mark.parametrize(
    ("user", "changes"),
    [
        (["-run-with", "user=nobody"], True),
        (["-run-with", "chroot=/srv,user=65534:65534"], True),
        (["-runas", "nobody"], True),
        (["-run-with", "chroot=/srv"], False),
        ([], False),
    ],
)
def test_a_change_of_user_is_let_and_said(user: list[str], changes: bool) -> None:
    plan = make(*user)
    assert plan.changes_user is changes
    assert any("second process" in note for note in plan.notes) is changes
    assert ("elevateprivileges=allow" in " ".join(plan.arguments)) is changes


def test_a_usb_keyboard_is_no_tablet() -> None:
    assert "kju-tablet" in appended("-device", "usb-kbd")


def test_nodefaults_still_gets_a_tablet() -> None:
    assert "kju-tablet" in appended("-nodefaults")


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (["-daemonize"], "kju run --detach"),
        (["--daemonize"], "kju run --detach"),
        (["-display", "gtk"], "kju watch"),
        (["-display", "none"], "one display"),
        (["-nographic"], "screen off"),
        (["-curses"], "kju watch"),
        (["--preconfig"], "wait for commands"),
        (["-help"], "run QEMU itself"),
        (["-device", "help"], "run QEMU itself"),
        (["-chardev", "null,id=kju-qmp"], "kju's own"),
        (["-device", '{"driver":"VGA","id":"kju-video"}'], "kju's own"),
    ],
)
def test_conflicts(user: list[str], says: str) -> None:
    with pytest.raises(ConflictError, match=says):
        make(*user)


def test_asking_twice_is_a_conflict() -> None:
    with pytest.raises(ConflictError, match="-m"):
        make("-m", "64", memory="1G")
    with pytest.raises(ConflictError, match="-smp"):
        make("-smp", "2", cpus=2)
    kernel = Image("/k", Kind.KERNEL, "", "")
    with pytest.raises(ConflictError, match="-kernel"):
        make("-kernel", "/other", image=kernel)


def test_words_that_only_look_like_conflicts() -> None:
    make("-append", "-daemonize", "-name", "help", "-device", "VGA,id=kjuvenile")


def test_images() -> None:
    disk = appended(image=Image("/a,b.img", Kind.DISK, "", "r"))
    assert "file.driver=file,file.filename=/a,,b.img,id=kju-disk" in disk
    assert "format=" not in disk
    assert "virtio-blk-pci,drive=kju-disk" in disk
    assert "format=qcow2" in appended(image=Image("/a.qcow2", Kind.DISK, "qcow2", "r"))
    cd = appended(image=Image("/a.iso", Kind.CDROM, "raw", "r", True))
    assert "readonly=on,media=cdrom" in cd
    assert "ide-cd" in cd
    assert "-kernel /k" in appended(image=Image("/k", Kind.KERNEL, "", "r"))


def test_other_architectures() -> None:
    text = appended(architecture="aarch64", image=Image("/a.iso", Kind.CDROM, "raw", "r"))
    assert "-machine virt" in text
    assert "virtio-gpu-pci" in text
    assert "virtio-keyboard-pci" in text
    assert "scsi-cd" in text
    assert "-machine" not in appended("-M", "raspi3b", architecture="aarch64")


def test_networks_that_start_programs_may() -> None:
    assert "spawn=allow" in appended("-nic", "tap,id=t")


def test_no_listener_is_ever_added() -> None:
    text = appended(image=Image("/a.img", Kind.DISK, "", "r"))
    assert not any(word in text for word in ("-vnc", "-spice", "tcp", "hostfwd", "server", "-gdb"))


def test_kvm_gets_the_hosts_processor() -> None:
    assert "-cpu host" in appended(accelerator="kvm")


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_arguments_are_planned_or_refused(words: list[str]) -> None:
    try:
        made = make(*words)
    except ConflictError:
        return
    assert made.arguments[: len(words)] == words


def test_parse() -> None:
    assert [tuple(o) for o in parse(["-m", "1", "disk", "--snapshot", "-kernel"])] == [
        ("m", "1"),
        ("hda", "disk"),
        ("snapshot", None),
        ("kernel", None),
    ]


def test_fields() -> None:
    assert fields("user,id=a,,b,x", "type") == {"type": "user", "id": "a,b", "x": "on"}
    assert fields('{"id": 3}', "driver") == {"id": "3"}
    assert fields("[1]", "driver") == {"driver": "[1]"}
    assert fields("{bad", "driver") == {}
    assert fields(None, "driver") == {}


MULTIBOOT = b"\0" * 16 + (0x1BADB002).to_bytes(4, "little") + b"\0" * 4
MULTIBOOT += (-0x1BADB002 & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("path", "head", "kind", "disk_format"),
    [
        ("/a.iso", b"", Kind.CDROM, "raw"),
        ("/a.QCOW2", b"", Kind.DISK, "qcow2"),
        ("/a.raw", b"QFI\xfb", Kind.DISK, "raw"),
        ("/a.img", b"QFI\xfb", Kind.DISK, ""),
        ("/a.img", b"\x7fELF", Kind.DISK, ""),
        ("/a", b"\x7fELF", Kind.KERNEL, ""),
        ("/a.exec", b"", Kind.KERNEL, ""),
        ("/a", MULTIBOOT, Kind.KERNEL, ""),
        ("/a", MULTIBOOT[:-1] + b"\0", Kind.DISK, ""),
        ("/vmlinuz", b"\0" * 0x202 + b"HdrS", Kind.KERNEL, ""),
        ("/a", b"\0" * 0x8001 + b"CD001", Kind.CDROM, "raw"),
        ("/a", b"", Kind.DISK, ""),
    ],
)
def test_classify(path: str, head: bytes, kind: Kind, disk_format: str) -> None:
    found = classify(path, head)
    assert (found.kind, found.disk_format) == (kind, disk_format)
    assert found.reason


def test_multiboot2_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match="grub-mkrescue"):
        classify("/a", (0xE85250D6).to_bytes(4, "little"))


def test_a_serial_port_of_kjus_own_is_known() -> None:
    assert make().has_serial
    for user in (["-serial", "none"], ["-nodefaults"], ["-device", "pci-serial"]):
        plan = make(*user)
        assert not plan.has_serial
        assert any("serial port" in note for note in plan.notes)


def test_further_disks_have_numbers() -> None:
    disks = (Image("/a,b.qcow2", Kind.DISK, "qcow2", "r"), Image("/c.iso", Kind.CDROM, "raw", "r"))
    text = appended(disks=disks)
    assert "file.filename=/a,,b.qcow2,format=qcow2,id=kju-disk-1" in text
    assert "-device virtio-blk-pci,drive=kju-disk-1" in text
    assert "-device ide-cd,drive=kju-cd-2" in text
    text = appended(disks=disks, image=disks[0], architecture="aarch64")
    assert "virtio-blk-pci,drive=kju-disk " in text
    assert (
        "-device virtio-scsi-pci,id=kju-scsi-2 -device scsi-cd,drive=kju-cd-2,bus=kju-scsi-2.0"
        in text
    )


def test_firmware() -> None:
    uefi = Firmware("/code,1", "raw", "/vars", "r")
    text = appended(firmware=uefi)
    assert (
        "-drive if=pflash,unit=0,format=raw,file.driver=file,file.filename=/code,,1,readonly=on"
        in text
    )
    assert "-drive if=pflash,unit=1,format=qcow2,file.driver=file,file.filename=/vars" in text
    assert "-bios /rom" in appended(firmware=Firmware("/rom", "", "", "r"))
    for user in (["-bios", "x"], ["-pflash", "x"], ["-drive", "if=pflash,file=x", "-drive", "x"]):
        with pytest.raises(ConflictError, match="firmware"):
            make(*user, firmware=uefi)
