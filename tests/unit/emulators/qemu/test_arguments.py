"""Additions to a user's QEMU arguments, and conflicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.emulators.qemu.arguments.board import PC, Board
from kju.emulators.qemu.arguments.plan import QemuPlan, board_arguments, needs_firmware, plan
from kju.emulators.qemu.arguments.user_options import Firmware, ForkMemory, LaunchFacts
from kju.errors import ConflictError
from kju.store.image import Image, Kind

FACTS = LaunchFacts("test", "x86_64", 7, "tcg", "why not", serial=8)


def make(*user: str, **facts: object) -> QemuPlan:
    return plan(user, FACTS._replace(**facts))


def appended(*user: str, **facts: object) -> str:
    return " ".join(make(*user, **facts).arguments[len(user) :])


def test_the_users_arguments_come_first_and_whole() -> None:
    user = ("-m", "64", "-device", "VGA,id=mine", "-append", "a,b c")
    made = make(*user)
    assert tuple(made.arguments[: len(user)]) == made.user == user


def test_everything_appended_has_a_reason() -> None:
    assert all(part.reason and part.arguments for part in make().appended)


def test_default_devices_are_added() -> None:
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
def test_change_of_user_is_allowed_and_noted(user: list[str], changes: bool) -> None:
    plan = make(*user)
    assert plan.changes_user is changes
    assert any("second process" in note for note in plan.notes) is changes
    assert ("elevateprivileges=allow" in " ".join(plan.arguments)) is changes


def test_usb_keyboard_does_not_replace_the_tablet() -> None:
    assert "kju-tablet" in appended("-device", "usb-kbd")


def test_nodefaults_still_gets_a_tablet() -> None:
    assert "kju-tablet" in appended("-nodefaults")


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (["-daemonize"], "kju run --detach"),
        (["--daemonize"], "kju run --detach"),
        (["-display", "gtk"], "kju watch"),
        (["-display", "sdl,gl=on"], "one display"),
        (["-nographic"], "kju serial NAME"),
        (["-curses"], "kju watch"),
        (["--preconfig"], "wait for commands"),
        (["-help"], "because QEMU would print its help and end. Run QEMU itself"),
        (["-device", "help"], "run QEMU itself"),
        (["-nographic"], r"because it turns the screen off\. Leave it out: .* kju serial NAME$"),
        (["-chardev", "null,id=kju-qmp"], "kju's own"),
        (["-device", '{"driver":"VGA","id":"kju-video"}'], "kju's own"),
    ],
)
def test_arguments_of_kju_conflict_with_the_users(user: list[str], says: str) -> None:
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
    user = ("-append", "-daemonize", "-name", "help", "-device", "VGA,id=kjuvenile")
    assert make(*user).user == user


def test_display_none_is_accepted() -> None:
    made = make("-display", "none")
    assert made.arguments[:2] == ["-display", "none"]
    assert "-display dbus,p2p=yes" in " ".join(made.arguments[2:])


DISK = Image("/a.img", Kind.DISK, "", "r")
CD = Image("/a.iso", Kind.CDROM, "raw", "r", True)


def test_image_becomes_the_right_argument() -> None:
    disk = appended(image=Image("/a,b.img", Kind.DISK, "", "r"))
    assert "file.driver=file,file.filename=/a,,b.img,id=kju-disk" in disk
    assert "format=" not in disk
    assert "ide-hd,drive=kju-disk" in disk
    assert "format=qcow2" in appended(image=Image("/a.qcow2", Kind.DISK, "qcow2", "r"))
    cd = appended(image=CD)
    assert "readonly=on,media=cdrom" in cd
    assert "ide-cd" in cd
    assert "-kernel /k" in appended(image=Image("/k", Kind.KERNEL, "", "r"))


def test_backing_formats_are_given_where_a_layer_does_not_name_them() -> None:
    image = Image("/a.qcow2", Kind.DISK, "qcow2", "r", backing_formats=((2, "raw"),))
    assert "format=qcow2,backing.backing.driver=raw,id=kju-disk" in appended(image=image)


VIRT = Board("virt-10.0", frozenset({"PCIE", "virtio-mmio-bus"}), "virtio", has_keyboard=False)
VERSATILE = Board("versatilepb", frozenset({"PCI", "SCSI"}), "scsi", memory=128, has_screen=True)
PI = Board("raspi3b", frozenset({"sd-bus", "usb-bus"}), "sd", 0, 512, True, True, False, 2)
ISA = Board("isapc", frozenset({"ISA", "IDE"}), "ide", 4)
MICROVM = Board("microvm", frozenset({"ISA", "virtio-mmio-bus"}), "", 0, 0, False, False, False)
BARE = Board("kzm", frozenset({"i2c-bus"}), "")


def test_other_architectures_get_their_devices() -> None:
    text = appended(architecture="aarch64", image=CD, board=VIRT)
    for wanted in (
        "-machine virt",
        "-cpu max",
        "virtio-gpu-pci",
        "usb-kbd,id=kju-usb-keyboard,bus=kju-usb.0",
        "virtio-keyboard-pci,id=kju-keyboard",
        "-device virtio-scsi-pci,id=kju-scsi -device scsi-cd,drive=kju-cd,bus=kju-scsi.0",
    ):
        assert wanted in text
    assert text.index("usb-kbd") < text.index("virtio-keyboard")
    assert "-machine" not in appended("-M", "raspi3b", architecture="aarch64", board=PI)


@pytest.mark.parametrize(
    ("board", "architecture", "wanted", "absent"),
    [
        (PC, "x86_64", ["ide-hd", "VGA,", "-m 1G", "-cpu max", "kju-usb"], ["usb-kbd"]),
        (VIRT, "arm", ["virtio-blk-pci", "usb-kbd"], ["-cpu"]),
        (VIRT, "riscv64", ["virtio-blk-pci", "virtio-gpu-pci"], ["-cpu"]),
        (PI, "arm", ["if=sd,", "usb-tablet,id=kju-tablet ", "usb-kbd"], ["-m ", "pci"]),
        (ISA, "x86_64", ["ide-hd", "isa-vga", "-m 1G"], ["usb", "pci", "kju-net"]),
        (MICROVM, "x86_64", ["virtio-blk-device", "virtio-keyboard"], ["-cpu", "pci", "vga"]),
        (VERSATILE, "arm", ["if=scsi,"], ["scsi-hd", "-m ", "virtio-gpu", "VGA", "kbd"]),
    ],
    ids=lambda value: value.name or "pc" if isinstance(value, Board) else None,
)  # fmt: skip
def test_board_gets_devices_for_its_buses(
    board: Board, architecture: str, wanted: list[str], absent: list[str]
) -> None:
    user = ("-M", "virt") if board is VIRT else ("-M", "other")
    text = appended(*user, architecture=architecture, board=board, image=DISK) + " "
    assert [word for word in wanted if word not in text] == []
    assert [word for word in absent if word in text] == []


def test_a_board_without_a_bus_for_disks_is_named() -> None:
    with pytest.raises(ConflictError, match="machine type kzm has no bus that takes a disk"):
        make(image=DISK, board=BARE)
    assert any("no tablet: machine type kzm" in note for note in make(board=BARE).notes)


def test_devices_that_a_qemu_was_built_without_are_not_added() -> None:
    text = appended(board=PC._replace(devices=frozenset({"isa-vga", "ide-hd"})), image=DISK)
    assert "ide-hd" in text
    assert not any(word in text for word in ("VGA", "usb", "virtio"))


@pytest.mark.parametrize(
    ("wish", "board", "devices"),
    [
        ("virtio", PC, "if=none, -device virtio-blk-pci,drive=kju-disk"),
        ("ide", VIRT, "if=none, -device ahci,id=kju-ahci -device ide-hd,drive=kju-disk"
         ",bus=kju-ahci.0"),
        ("scsi", PC, "if=none, -device virtio-scsi-pci,id=kju-scsi -device scsi-hd,"
         "drive=kju-disk,bus=kju-scsi.0"),
        ("nvme", PC, "if=none, -device nvme,drive=kju-disk,serial=kju-disk"),
        ("usb", PI, "if=none, -device usb-storage,drive=kju-disk"),
        ("usb", PC, "if=none, -device qemu-xhci,id=kju-usb-disk -device usb-storage,"
         "drive=kju-disk,bus=kju-usb-disk.0"),
        ("floppy", PC, "if=floppy,"),
        ("sd", VERSATILE, "if=sd,"),
    ],
)  # fmt: skip
def test_a_wished_bus_is_used(wish: str, board: Board, devices: str) -> None:
    text = appended(image=DISK, board=board, disk_bus=wish)
    interface, _, rest = devices.partition(" ")
    assert interface in text
    assert rest in text
    (plan_bus,) = make(image=DISK, board=board, disk_bus=wish).buses
    assert plan_bus[0] == "/a.img"
    assert plan_bus[1].bus == wish
    assert "asked for" in plan_bus[1].reason


def test_a_bus_that_a_board_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(
        ConflictError, match=r"isapc has no bus for --disk-bus nvme; it takes: ide, sd, floppy"
    ):
        make(image=DISK, board=ISA, disk_bus="nvme")


def test_disks_beyond_the_ide_buses_go_to_virtio() -> None:
    disks = (DISK, CD, DISK)
    buses = [attached.bus for _, attached in make("-cdrom", "x", image=DISK, disks=disks).buses]
    assert buses == ["ide", "ide", "ide", "virtio"]
    with pytest.raises(ConflictError, match="isapc"):
        make("-hda", "x", "-drive", "file=y", board=ISA, image=DISK, disks=disks)


def test_the_arguments_that_choose_the_board() -> None:
    user = ("-M", "q35,accel=tcg,sata=off", "-machine", "memory-backend=m", "-m", "3G")
    assert board_arguments(user, "x86_64") == ["-machine", "q35,sata=off", "-m", "3G"]
    assert board_arguments((), "aarch64") == ["-machine", "virt"]
    user = ("-M", "isapc,audiodev=a,pcspk-audiodev=a,pflash0=rom", "-audiodev", "none,id=a")
    assert board_arguments(user, "x86_64") == ["-machine", "isapc"]
    user = ("-drive", "if=pflash,file=f", "-drive", "file=d")
    assert board_arguments(user, "x86_64") == ["-drive", "if=pflash,file=f,snapshot=on"]
    assert board_arguments(("-bios", "b"), "x86_64", "/k") == ["-bios", "b", "-kernel", "/k"]


@pytest.mark.parametrize(
    ("user", "architecture", "image", "needs"),
    [
        ((), "aarch64", DISK, True),
        (("-M", "virt-9.2,gic-version=3"), "aarch64", CD, True),
        (("-M", "raspi3b"), "aarch64", DISK, False),
        (("-bios", "b"), "aarch64", DISK, False),
        (("-M", "virt,pflash0=rom", "-blockdev", "b"), "aarch64", DISK, False),
        (("-M", "virt", "-M", "pflash1=vars"), "aarch64", DISK, False),
        (("-M", '{"type":"virt","firmware":"b"}'), "aarch64", DISK, False),
        (("-kernel", "k"), "aarch64", DISK, False),
        ((), "x86_64", DISK, False),
        ((), "aarch64", None, False),
    ],
)
def test_boards_that_need_firmware(
    user: tuple[str, ...], architecture: str, image: Image | None, needs: bool
) -> None:
    assert needs_firmware(user, architecture, image) is needs


def test_sound_is_not_played_unless_the_user_wants_it() -> None:
    no_sound = ("-audio", "none")
    assert "-audio none" in appended("-device", "intel-hda", no_sound=no_sound)
    for user in (["-audio", "pa"], ["-audiodev", "pa,id=a"]):
        assert "-audio" not in appended(*user, no_sound=no_sound)


@pytest.mark.parametrize(
    "user",
    [
        ["-snapshot"],
        *(["-drive", f"file=x,snapshot{is_on}"] for is_on in ("=on", "=yes", "=true", "=y", "")),
    ],
)
def test_temporary_disks_are_noted(user: list[str]) -> None:
    assert any("are lost when the machine ends" in note for note in make(*user).notes)
    for kept in ("file=x", "file=x,snapshot=off", "file=x,snapshot=no"):
        assert not any("are lost" in note for note in make("-drive", kept).notes)


def test_guest_waits_for_its_snapshot_but_a_fork_loads_none() -> None:
    assert "-S" in appended(snapshot="ready").split()
    assert "-S" not in appended().split()
    memory = ForkMemory("pc.ram", 1 << 20, 0, "/state")
    fork = appended(snapshot="ready", fork_memory=memory).split()
    assert fork.count("-S") == 1 and fork[fork.index("-S") + 1] == "-incoming"


def test_networks_that_start_programs_may() -> None:
    assert "spawn=allow" in appended("-nic", "tap,id=t")


def test_no_listener_is_ever_added() -> None:
    text = appended(image=Image("/a.img", Kind.DISK, "", "r"))
    assert not any(word in text for word in ("-vnc", "-spice", "tcp", "hostfwd", "server", "-gdb"))


def test_kvm_gets_the_hosts_processor() -> None:
    assert "-cpu host" in appended(accelerator="kvm")


@pytest.mark.parametrize(
    "user",
    [("-accel", "tcg"), ("-M", "virt,accel=tcg"), ("-machine", "accel=tcg"), ("-enable-kvm",), ()],
)
@pytest.mark.parametrize("architecture", ["aarch64", "x86_64"])
def test_the_processor_does_not_depend_on_who_chose_the_accelerator(
    user: tuple[str, ...], architecture: str
) -> None:
    assert "-cpu max" in appended(*user, architecture=architecture)
    assert "-cpu" not in appended(*user, "-cpu", "cortex-a57", architecture=architecture)
    assert "-cpu" not in appended(
        *user, architecture=architecture, board=PC._replace(accepts_cpu_max=False)
    )


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_arguments_are_planned_or_refused(words: list[str]) -> None:
    try:
        made = make(*words)
    except ConflictError:
        return
    assert made.arguments[: len(words)] == words


def test_a_serial_port_of_kjus_own_is_known() -> None:
    assert make().has_serial
    for user in (["-serial", "none"], ["-nodefaults"], ["-device", "pci-serial"]):
        plan = make(*user)
        assert not plan.has_serial
        assert any("serial port" in note for note in plan.notes)


def test_further_disks_have_numbers() -> None:
    disks = (Image("/a,b.qcow2", Kind.DISK, "qcow2", "r"), CD)
    text = appended(disks=disks)
    assert "file.filename=/a,,b.qcow2,format=qcow2,id=kju-disk-1" in text
    assert "-device ide-hd,drive=kju-disk-1" in text
    assert "-device ide-cd,drive=kju-cd-2" in text
    text = appended(disks=disks, image=disks[0], architecture="aarch64", board=VIRT)
    assert "virtio-blk-pci,drive=kju-disk " in text
    assert (
        "-device virtio-scsi-pci,id=kju-scsi-2 -device scsi-cd,drive=kju-cd-2,bus=kju-scsi-2.0"
        in text
    )


def test_firmware_is_found() -> None:
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
