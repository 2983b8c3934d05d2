"""Disks: boot from each format and bus, and errors before QEMU starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG, until

import kju
from kju.errors import ConflictError, UsageError

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
TEXT = "Disk works"
SECTOR = bytes.fromhex(
    "31c0 8ed8 be157c"  # ds = 0; si = the text, which follows the code
    "ac 84c0 7406 b40e cd10 ebf5"  # print it, a letter at a time
    "f4 ebfd"  # halt for good
)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a disk of one boot sector, which prints a text."""
    path = tmp_path / "one-sector.img"
    path.write_bytes((SECTOR + TEXT.encode()).ljust(510, b"\0") + b"\x55\xaa")
    return path


def boots(image: Path, bus: str, *arguments: str, **wishes: object) -> kju.Machine:
    """Start an image, wait for its text, check its bus, and return the ended machine."""
    with kju.launch(image, args=[*guests.TCG, "-m", "64", *arguments], **wishes) as machine:
        machine.screen.wait_text(TEXT, timeout=HANG)
        (found,) = [d for d in machine.info()["disks"] if d["path"] == str(image)]
        assert found["bus"] == bus, found
        assert found["reason"]
    return machine


@pytest.mark.parametrize("board", ["pc", "q35", "isapc"])
def test_boot_sector_starts_on_qemus_default_bus(disk: Path, board: str) -> None:
    if board == "q35":
        # SeaBIOS does not start a disk of one sector on SATA, with plain QEMU either.
        with disk.open("r+b") as file:
            file.truncate(1 << 20)
    boots(disk, "ide", "-M", board)


@pytest.mark.parametrize("bus", ["virtio", "scsi", "nvme", "usb", "floppy"])
def test_bios_starts_a_disk_on_another_bus(disk: Path, bus: str) -> None:
    # SeaBIOS ignores disks smaller than a track on some buses.
    with disk.open("r+b") as file:
        file.truncate(1440 << 10)
    boots(disk, bus, disk_bus=bus)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "qed"])
def test_disk_formats_boot(disk: Path, kind: str) -> None:
    image = disk.with_suffix(f".{kind}")
    command = ["qemu-img", "convert", "-f", "raw", "-O", kind, str(disk), str(image)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG)
    boots(image, "ide")


def test_cd_boots(tmp_path: Path) -> None:
    guests.memtest()
    (iso, *_) = sorted(Path("/usr/lib/memtest86+").glob("*x64*.iso"))
    with kju.launch(iso, args=guests.TCG, memory="256M") as machine:
        machine.screen.wait_text("Memtest86+", timeout=HANG)
        (found,) = machine.info()["disks"]
        assert found["bus"] == "ide"


def test_bus_that_the_board_lacks_is_rejected(disk: Path) -> None:
    with pytest.raises(ConflictError, match="isapc has no bus for --disk-bus nvme; it takes: ide"):
        kju.launch(disk, args=["-M", "isapc", *guests.TCG], disk_bus="nvme")
    with pytest.raises(UsageError, match="unknown disk bus 'sata'; choose one of: ide, scsi"):
        kju.launch(disk, disk_bus="sata")


def test_fifth_disk_goes_to_another_bus(disk: Path) -> None:
    more = [word for n in range(4) for word in ("-drive", f"if=ide,index={n},driver=null-co")]
    with kju.launch(disk, args=[*guests.TCG, "-m", "64", *more]) as machine:
        (found,) = machine.info()["disks"]
        assert found["bus"] == "virtio"
        assert "the 4 places" in found["reason"]


PACKERS = {"gzip": ".gz", "xz": ".xz", "zstd": ".zst", "bzip2": ".bz2"}


@pytest.mark.parametrize("packer", sorted(PACKERS))
@pytest.mark.parametrize("renamed", [False, True])
def test_error_for_a_compressed_image_names_the_command_to_unpack_it(
    disk: Path, packer: str, renamed: bool
) -> None:
    if shutil.which(packer) is None:
        pytest.skip(f"{packer} is not installed")
    packed = disk.with_name(disk.name + PACKERS[packer])
    done = subprocess.run([packer, "-c", disk], capture_output=True, check=True, timeout=HANG)
    packed.write_bytes(done.stdout)
    if renamed:
        packed = packed.rename(disk.with_name("renamed.qcow2"))
    with pytest.raises(UsageError, match=rf"compressed with {packer}.*unpack it first: ") as caught:
        kju.launch(packed)
    disk.unlink()
    command = str(caught.value).split("unpack it first: ")[1]
    subprocess.run(command, shell=True, check=True, timeout=HANG)
    if renamed:
        disk.with_name("renamed-expanded.qcow2").rename(disk)
    boots(disk, "ide")


def test_empty_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.img").touch()
    with pytest.raises(UsageError, match=r"empty.img is empty \(0 bytes\)"):
        kju.launch(tmp_path / "empty.img")


@pytest.fixture
def stranger(disk: Path) -> Path:
    """Return a disk whose backing file is in another folder."""
    path = disk.parent / "downloads" / "stranger.qcow2"
    path.parent.mkdir()
    command = ["qemu-img", "create", "-f", "qcow2", "-b", "../one-sector.img", "-F", "raw"]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=HANG)
    return path


@pytest.mark.parametrize(
    "own", [[], ["-hda"], ["-drive", "file="], ["-drive", "json:"], ["-blockdev", "json"]]
)
def test_disk_with_a_foreign_backing_file_is_rejected_until_trusted(
    stranger: Path, own: list[str]
) -> None:
    image: Path | None = None if own else stranger
    arguments = [*own, str(stranger)] if own else []
    if own and own[-1] == "file=":
        arguments = ["-drive", f"file={stranger},format=qcow2"]
    elif own and own[-1] == "json:":
        below = f"{{'driver':'file','filename':'{stranger}'}}"
        arguments = ["-drive", f"file=json:{{'driver':'qcow2',,'file':{below.replace(',', ',,')}}}"]
    elif own and own[-1] == "json":
        node: dict[str, object] = {"driver": "qcow2", "node-name": "n"}
        node |= {"file": {"driver": "file", "filename": str(stranger)}}
        arguments = ["-blockdev", json.dumps(node), "-device", "ide-hd,drive=n"]
    with pytest.raises(UsageError, match=r"outside its folder .*--trust-disk"):
        kju.launch(image, args=[*guests.TCG, *arguments])
    with kju.launch(image, args=[*guests.TCG, *arguments], trust_disk=True) as machine:
        machine.screen.wait_text(TEXT, timeout=HANG)
        if image:
            (found,) = machine.info()["disks"]
            assert [layer["role"] for layer in found["layers"]] == ["disk", "backing"]


def test_clone_starts_with_its_base_in_another_folder(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    from kju.store import defining

    kju.define("base", disk, args=[*guests.TCG, "-m", "64"])
    for name, below in (("one", "base"), ("two", "one")):
        defining.clone(below, name)
    with kju.start("two") as machine:
        machine.screen.wait_text(TEXT, timeout=HANG)
        (found,) = machine.info()["disks"]
        assert [Path(layer["path"]).name for layer in found["layers"]] == [
            "one-sector.qcow2",
            "one-sector.qcow2",
            "one-sector.img",
        ]


def test_sound_device_starts(disk: Path) -> None:
    boots(disk, "ide", "-device", "intel-hda", "-device", "hda-duplex")


def test_display_none_is_accepted(disk: Path) -> None:
    boots(disk, "ide", "-display", "none")


def test_raw_disk_below_a_layer_without_format_is_not_probed(tmp_path: Path, disk: Path) -> None:
    """A qcow does not name its backing format, and data in the raw disk must not choose it."""
    top = tmp_path / "top.qcow"
    command = ["qemu-img", "create", "-f", "qcow", "-b", disk.name, "-F", "raw", str(top)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG)
    with kju.launch(top, args=[*guests.TCG, "-m", "64"]) as machine:
        machine.screen.wait_text(TEXT, timeout=HANG)
        until(lambda: machine.info()["disks"], "its disks")
        added = [" ".join(part["arguments"]) for part in machine.info()["appended"]]
        assert any(",backing.driver=raw," in words for words in added)


@pytest.mark.parametrize("temporary", [True, False])
def test_temporary_snapshots_are_announced(tmp_path: Path, disk: Path, temporary: bool) -> None:
    image = disk.with_suffix(".qcow2")
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(image)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG)
    arguments = [*guests.TCG, "-m", "64", *(["-snapshot"] if temporary else [])]
    with kju.launch(image, args=arguments, name="short") as machine:
        machine.screen.wait_text(TEXT, timeout=HANG)
        done = subprocess.run(
            [sys.executable, "-m", "kju.cli", "snapshot", "save", "short", "tag"],
            capture_output=True, text=True, check=True, timeout=HANG, env=ENVIRONMENT | os.environ,
        )  # fmt: skip
        assert ("lost when the machine ends" in done.stderr) is temporary
        assert done.stderr.count("lost") == temporary
        assert ("lost" in (machine.snapshots.save("other").note or "")) is temporary
        # As long as it runs it can be loaded.
        machine.snapshots.load("tag")
