"""The files that a disk names: what is found, what is refused, and that QEMU opens no others."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.host import qemu
from kju.host.disk_chain import MAX_LAYERS, Chain, checked, lines
from kju.host.disk_headers import parse
from kju.host.image import Image

qemu_img = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img is not installed; tools/setup installs it"
)


def make(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def check(
    path: Path, *, trusted: bool = False, made: frozenset[Path] = frozenset()
) -> tuple[Image, Chain]:
    def layers_made(disk: Path) -> frozenset[Path]:
        return made if disk == path else frozenset()

    return checked(qemu.read_image(str(path)), trusted=trusted, made=layers_made)


def refused(path: Path, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check(path)
    check(path, trusted=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the disks; beside it lies a file that they must not reach."""
    (tmp_path / "secret").write_bytes(bytes(1 << 16))
    (tmp_path / "disks").mkdir()
    (tmp_path / "disks/base.raw").write_bytes(bytes(1 << 16))
    return tmp_path / "disks"


def overlay(folder: Path, name: str, kind: str, backing: str, *more: object) -> Path:
    """A disk that names a backing file, whatever is there."""
    path = folder / name
    make("create", "-f", kind, "-u", "-b", backing, *more, path, "1M")
    return path


@qemu_img
@pytest.mark.parametrize("kind", ["qcow2", "qed", "qcow"])
def test_a_layer_in_the_folder_is_allowed_and_shown(folder: Path, kind: str) -> None:
    top = overlay(folder, "top.img", kind, "base.raw", "-F", "raw")
    image, chain = check(top)
    assert [(Path(layer.path).name, layer.format) for layer in chain.layers] == [
        ("top.img", kind),
        ("base.raw", "raw"),
    ]
    # A qcow of version 1 has no place for the format's name.
    assert image.backing_formats == (((1, "raw"),) if kind == "qcow" else ())
    assert list(lines(chain))[1] == f"backing: {folder}/base.raw (raw)"


@qemu_img
@pytest.mark.parametrize("kind", ["qcow2", "qed", "qcow"])
@pytest.mark.parametrize(
    "name", ["../secret", "{}/secret", "file:../secret", "link", "sub/../../secret"]
)
def test_a_layer_outside_the_folder_is_refused(folder: Path, kind: str, name: str) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "sub").mkdir()
    top = overlay(folder, "top.img", kind, name.format(folder.parent), "-F", "raw")
    refused(top, "outside its folder .*--trust-disk")


@qemu_img
@pytest.mark.parametrize(
    "name",
    [
        "nbd://example.com/x",
        "https://example.com/x",
        "ssh://u@example.com/x",
        'json:{"driver":"file","filename":"/etc/passwd"}',
        "fat:rw:/etc",
        "host_device:/dev/sda",
        "nbd:unix:/run/s",
        "null-co://",
    ],
)
def test_an_address_is_refused(folder: Path, name: str) -> None:
    refused(overlay(folder, "top.qcow2", "qcow2", name, "-F", "raw"), "not a file in its folder")


@qemu_img
def test_a_layer_two_below_is_checked_too(folder: Path) -> None:
    overlay(folder, "middle.qcow2", "qcow2", "../secret", "-F", "raw")
    refused(overlay(folder, "top.qcow2", "qcow2", "middle.qcow2", "-F", "qcow2"), "middle.*outside")


@qemu_img
def test_a_raw_layer_whose_guest_has_written_a_header_stays_raw(folder: Path) -> None:
    evil = overlay(folder, "evil.qcow2", "qcow2", "../secret", "-F", "raw")
    # A layer that says "raw" is believed: QEMU reads no header there.
    shutil.copy(evil, folder / "base.raw")
    image, chain = check(overlay(folder, "named.qcow2", "qcow2", "base.raw", "-F", "raw"))
    assert [layer.format for layer in chain.layers] == ["qcow2", "raw"]
    assert image.backing_formats == ()
    # One that says nothing would be probed.
    silent = overlay(folder, "silent.qcow", "qcow", "base.raw", "-F", "raw")
    refused(silent, "does not name the format .* qemu-img rebase -u -F qcow2")


@qemu_img
@pytest.mark.parametrize("name", ["../data", "data"])
def test_an_external_data_file_is_refused(folder: Path, name: str) -> None:
    top = folder / "top.qcow2"
    make("create", "-f", "qcow2", "-o", f"data_file={folder / name}", top, "1M")
    refused(top, "keeps its data in another file")


DESCRIPTION = """# Disk DescriptorFile
version=1
CID=12345678
parentCID={parent}
createType="monolithicFlat"
{hint}
RW 128 FLAT "{extent}" 0
ddb.adapterType = "ide"
"""


def vmdk(folder: Path, extent: str, parent: str = "ffffffff", hint: str = "") -> Path:
    path = folder / "disk.vmdk"
    path.write_text(DESCRIPTION.format(extent=extent, parent=parent, hint=hint))
    return path


def test_vmdk_extents_in_the_folder_are_allowed(folder: Path) -> None:
    (folder / "disk-flat.vmdk").write_bytes(bytes(1 << 16))
    _, chain = check(vmdk(folder, "disk-flat.vmdk"))
    assert [layer.role for layer in chain.layers] == ["disk", "data"]


@pytest.mark.parametrize(
    ("extent", "why"),
    [
        ("../secret", "outside its folder"),
        ("base.raw", "whose name is not"),
        ("disk.img", "whose name is not"),
        ("nbd://example.com/x", "has its data at"),
        ("json:{}", "has its data at"),
    ],
)
@pytest.mark.parametrize("suffix", [".vmdk", ".img", ""])
def test_other_vmdk_extents_are_refused(folder: Path, extent: str, why: str, suffix: str) -> None:
    path = vmdk(folder, extent).rename(folder / f"disk{suffix}")
    refused(path, why)


@pytest.mark.parametrize("parent", ["ffffffff", "12345678"])
def test_a_vmdk_parent_outside_is_refused(folder: Path, parent: str) -> None:
    (folder / "disk-flat.vmdk").write_bytes(bytes(1 << 16))
    shutil.copy(vmdk(folder, "disk-flat.vmdk"), folder.parent / "other.vmdk")
    (folder.parent / "disk-flat.vmdk").write_bytes(bytes(1 << 16))
    path = vmdk(folder, "disk-flat.vmdk", parent, 'parentFileNameHint="../other.vmdk"')
    refused(path, "lies over .*outside its folder")


def test_layers_that_kju_made_are_trusted_and_what_they_name_is_not(folder: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed; tools/setup installs it")
    base = folder.parent / "base.qcow2"
    make("create", "-f", "qcow2", base, "1M")
    top = overlay(folder, "top.qcow2", "qcow2", str(base), "-F", "qcow2")
    refused(top, "outside its folder")
    check(top, made=frozenset({base}))
    overlay(folder.parent, "base.qcow2", "qcow2", "/etc/hostname", "-F", "raw")
    with pytest.raises(UsageError, match="/etc/hostname, outside"):
        check(top, made=frozenset({base}))


@qemu_img
def test_a_circle_ends(folder: Path) -> None:
    overlay(folder, "a.qcow2", "qcow2", "b.qcow2", "-F", "qcow2")
    overlay(folder, "b.qcow2", "qcow2", "a.qcow2", "-F", "qcow2")
    with pytest.raises(UsageError, match=f"more than {MAX_LAYERS} layers"):
        check(folder / "a.qcow2")


@qemu_img
@pytest.mark.parametrize("what", ["pipe", "folder", "missing"])
def test_a_layer_that_is_no_file_is_refused_at_once(folder: Path, what: str) -> None:
    if what == "pipe":
        os.mkfifo(folder / "below")
    elif what == "folder":
        (folder / "below").mkdir()
    with pytest.raises(UsageError, match=r"below.*(not a regular file|cannot be read)"):
        check(overlay(folder, "top.qcow2", "qcow2", "below", "-F", "raw"))


@qemu_img
@pytest.mark.parametrize(
    ("kind", "subformat"),
    [
        *((kind, "") for kind in ("raw", "qcow2", "qcow", "qed", "vmdk", "vhdx", "vpc", "vdi")),
        *(("vmdk", sub) for sub in ("monolithicFlat", "twoGbMaxExtentSparse", "streamOptimized")),
    ],
)
def test_qemu_opens_no_other_file(folder: Path, kind: str, subformat: str) -> None:
    """What QEMU itself says of a chain, against what was read here."""
    top = folder / "disk.img"
    make("create", "-f", kind, *(["-o", f"subformat={subformat}"] if subformat else []), top, "1M")
    if kind in ("qcow2", "qcow", "qed", "vmdk") and not subformat:
        overlay(folder, "over.img", kind, "disk.img", "-F", kind)
        top = folder / "over.img"
    _, chain = check(top, trusted=True)
    said = subprocess.run(
        ["strace", "-f", "-e", "trace=open,openat", "qemu-img", "info", "--backing-chain", top],
        capture_output=True, text=True, check=True, timeout=60,
    ).stderr if shutil.which("strace") else ""  # fmt: skip
    told = subprocess.run(
        ["qemu-img", "info", "--backing-chain", "--output=json", top],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    known = {os.path.realpath(layer.path) for layer in chain.layers}
    opened = {os.path.realpath(line.split('"')[1]) for line in said.splitlines() if '"' in line}
    inside = {path for path in opened if path.startswith(str(folder)) and Path(path).is_file()}
    assert inside <= known
    assert {os.path.realpath(folder / layer["filename"]) for layer in json.loads(told)} <= known
    assert chain.layers[0].format in (json.loads(told)[0]["format"], "raw" if kind == "vpc" else "")


HEADS = (b"", b"QFI\xfb\0\0\0\1", b"QFI\xfb\0\0\0\2", b"QFI\xfb\0\0\0\3", b"QED\0", b"KDMV")


@given(st.binary(max_size=4096), st.sampled_from([*HEADS, b"COWD", b"version=1\n"]))
def test_any_header_is_read_or_refused(data: bytes, magic: bytes) -> None:
    data = magic + data
    try:
        named = parse(lambda offset, size: data[offset : offset + size])
    except UsageError:
        return
    assert len(named.backing) < 4096


def test_a_name_beyond_the_image_is_refused() -> None:
    header = struct.pack(">4sIQI", b"QFI\xfb", 2, 1 << 62, 10).ljust(512, b"\0")
    with pytest.raises(UsageError, match="outside the image"):
        parse(lambda offset, size: header[offset : offset + size])
