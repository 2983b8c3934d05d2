"""The files that a disk names: what is found, what is refused, and that QEMU opens no others."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.store.disk_files import MAX_LAYERS, Chain, checked, describe, read_image
from kju.store.disk_headers import parse
from kju.store.image import Image

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

    return checked(read_image(str(path)), trusted=trusted, made=layers_made)


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
    assert list(describe(chain))[1] == f"backing: {folder}/base.raw (raw)"


@qemu_img
@pytest.mark.parametrize("kind", ["qcow2", "qed", "qcow"])
@pytest.mark.parametrize(
    "name",
    ["../secret", "{}/secret", "file:../secret", "link", "sub/../../secret", "sub/key", "down"],
)
def test_a_layer_outside_the_folder_is_refused(folder: Path, kind: str, name: str) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "sub").mkdir()
    (folder / "sub/key").write_bytes(bytes(1 << 16))
    (folder / "down").symlink_to("sub/key")
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
    refused(path, "is an overlay of .*outside its folder")


def test_layers_that_kju_made_are_trusted_and_their_own_layers_are_not(folder: Path) -> None:
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
def test_a_loop_ends(folder: Path) -> None:
    overlay(folder, "a.qcow2", "qcow2", "b.qcow2", "-F", "qcow2")
    overlay(folder, "b.qcow2", "qcow2", "a.qcow2", "-F", "qcow2")
    with pytest.raises(UsageError, match=f"more than {MAX_LAYERS} layers"):
        check(folder / "a.qcow2")


@qemu_img
@pytest.mark.parametrize("what", ["pipe", "folder", "missing"])
def test_a_layer_that_is_not_a_file_is_refused_without_waiting(folder: Path, what: str) -> None:
    if what == "pipe":
        os.mkfifo(folder / "below")
    elif what == "folder":
        (folder / "below").mkdir()
    with pytest.raises(UsageError, match=r"below.*(not a regular file|cannot be read)"):
        check(overlay(folder, "top.qcow2", "qcow2", "below", "-F", "raw"))


def files_opened(top: Path) -> set[str]:
    """What QEMU opens of a disk, in its folder and in the one above."""
    words = ["qemu-img", "info", "--backing-chain", str(top)]
    trace = ["strace", "-f", "-s", "4096", "-e", "trace=open,openat"]
    said = subprocess.run([*trace, *words], capture_output=True, text=True, timeout=60).stderr
    opened = {os.path.realpath(line.split('"')[1]) for line in said.splitlines() if '"' in line}
    above = str(top.parent.parent)
    return {path for path in opened if path.startswith(above) and Path(path).is_file()}


strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@qemu_img
@pytest.mark.parametrize(
    ("kind", "subformat"),
    [
        *((kind, "") for kind in ("raw", "qcow2", "qcow", "qed", "vmdk", "vhdx", "vpc", "vdi")),
        *(
            ("vmdk", sub)
            for sub in ("monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat")
        ),
        ("vmdk", "streamOptimized"),
    ],
)
def test_qemu_opens_no_other_file(folder: Path, kind: str, subformat: str) -> None:
    """What QEMU itself says of a chain, against what was read here."""
    top = folder / "disk.vmdk"
    make("create", "-f", kind, *(["-o", f"subformat={subformat}"] if subformat else []), top, "1M")
    if kind in ("qcow2", "qcow", "qed", "vmdk") and not subformat:
        overlay(folder, "over.img", kind, "disk.vmdk", "-F", kind)
        top = folder / "over.img"
    # What QEMU makes itself needs no trust, unless it has no place for the backing file's format.
    _, chain = check(top, trusted=kind in ("qcow", "qed"))
    opened = files_opened(top) if shutil.which("strace") else set()
    told = subprocess.run(
        ["qemu-img", "info", "--backing-chain", "--output=json", top],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    known = {os.path.realpath(layer.path) for layer in chain.layers}
    assert opened <= known
    assert {os.path.realpath(folder / layer["filename"]) for layer in json.loads(told)} <= known
    assert chain.layers[0].format in (json.loads(told)[0]["format"], "raw" if kind == "vpc" else "")


FIRST = 'version=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
#: QEMU cuts a name after 511 bytes, and does not look for its end then.
LONG = "./" * 251 + "../secret"


def header(capacity: int, sector: int = 1) -> bytes:
    """A VMDK's first sector that says where its description begins."""
    head = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, capacity, 128, sector, 20, 512, 0, 21, 128)
    return head.ljust(512, b"\0")


def sparse(description: bytes, magic: bytes = b"KDMV") -> bytes:
    """An image that holds its data itself, with a text where QEMU looks for the parent."""
    head = header(128, 0)
    if magic == b"COWD":
        head = struct.pack("<4sIIIIIII", b"COWD", 1, 3, 128, 16, 21, 1, 128).ljust(512, b"\0")
    return (head + description).ljust(1 << 17, b"\0")


def forms() -> dict[str, dict[str, bytes]]:
    """The files of VMDKs that name the file ``secret`` in the folder above, each in its way."""
    extents = {
        "lines": 'RW\n128\nFLAT\n"{}" 0\n',
        "blank lines": 'RW\n\n128 FLAT\n\n\n"{}"\n0\n',
        "returns": 'RW\r128\rFLAT\r"{}"\r0\n',
        "tabs": '\v\tRW\f128\vFLAT\t"{}"\t0\n',
        "a sign": 'RW +128 FLAT "{}" +0\n',
        "no end": 'RW 128 SPARSE "{}',
        "after a comment": '#\nRW\n#\nRW 128\nFLAT "{}" 0\n',
        "more after it": 'RW 128 FLAT "{}" 0 x\n',
        "two in a line": 'x RW 128 FLAT "a" 0\n  RW 128 FLAT "{}" 0 RW 1 FLAT "b" 0\n',
    }
    found = {
        name: {"disk.vmdk": (FIRST + text.format("../secret")).encode()}
        for name, text in extents.items()
    }
    long = f'RW 128 SPARSE "{LONG}-and-more.vmdk"\n'
    found["a long name"] = {"disk.vmdk": (FIRST + long).encode()}
    further = (FIRST + 'RW 128 FLAT "../secret" 0\n').encode()
    inner = (header(0) + further).ljust(1 << 17, b"\0")
    outer = FIRST + 'RW 128 SPARSE "disk-s001.vmdk"\n'
    found["an extent of an extent"] = {"disk.vmdk": outer.encode(), "disk-s001.vmdk": inner}
    found["a description far behind"] = {"disk.vmdk": header(0, 1 + (1 << 55)) + further}
    for name, hint in {
        "a parent": b'parentFileNameHint="../secret"\n',
        "a parent behind zero": b'parentFileNameHint\0\0../secret"\n',
    }.items():
        both = b"CID=1\nparentCID=1\n" + hint
        found[name] = {"disk.vmdk": sparse(both)}
        found[name + " of COWD"] = {"disk.vmdk": sparse(both, b"COWD")}
        found[name + " of a description"] = {
            "disk.vmdk": FIRST.encode() + b'RW 128 FLAT "disk-f001.vmdk" 0\n' + both,
            "disk-f001.vmdk": bytes(1 << 16),
        }
    return found


@strace
@qemu_img
@pytest.mark.parametrize("form", forms())
def test_a_file_that_qemu_opens_outside_is_refused(folder: Path, form: str) -> None:
    """Forms in which QEMU's own reader finds a name."""
    for name, data in forms()[form].items():
        (folder / name).write_bytes(data)
    opened = files_opened(folder / "disk.vmdk")
    # Nothing is seen where a process may not be traced.
    assert not opened or str(folder.parent / "secret") in opened
    refused(folder / "disk.vmdk", "outside its folder|ambiguously|has a fault")


BLANKS = st.sampled_from([" ", "\n", "\t", "\r", "\n\n", " \n", "\n#", "\v", ""])
WORDS = ["RW", "128", "FLAT", '"../secret"', "0"]


@strace
@qemu_img
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(BLANKS, min_size=6, max_size=6), st.sampled_from(["", "CID=1", 'a="', "RW 1"]))
def test_blanks_do_not_hide_an_extent(folder: Path, blanks: list[str], before: str) -> None:
    words = [text for pair in zip(blanks, [*WORDS, ""], strict=True) for text in pair]
    (folder / "disk.vmdk").write_text(FIRST + before + "".join(words), newline="")
    try:
        _, chain = check(folder / "disk.vmdk")
    except UsageError:
        return
    assert files_opened(folder / "disk.vmdk") <= {layer.path for layer in chain.layers}


def test_an_extent_may_not_be_a_description(folder: Path) -> None:
    path = vmdk(folder, "disk-s001.vmdk")
    for data in (header(0), header(0, 0), b"KDMV"):
        (folder / "disk-s001.vmdk").write_bytes(data)
        refused(path, "has a fault: its capacity is 0")
    (folder / "disk-s001.vmdk").write_bytes(header(128))
    check(path)
    # Data that looks like a description is data.
    (folder / "disk-s001.vmdk").write_text(FIRST + 'RW 1 FLAT "../secret" 0\n')
    check(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('RW 128 FLAT "{}" 0'.format("d" * 512), "line 5 has too long a name"),
        ("RW 128", "line 5 is neither"),
        ('"disk-flat.vmdk" 0', "line 5 is neither"),
        ('parentFileNameHint="x', "the name of its parent does not end"),
    ],
)
def test_an_unclear_description_is_refused(folder: Path, line: str, why: str) -> None:
    path = folder / "disk.vmdk"
    path.write_text(f"{FIRST}{line}\n")
    refused(path, f"disk.vmdk names files ambiguously: {why}")


def test_a_description_of_another_program_is_read(folder: Path) -> None:
    path = folder / "disk.vmdk"
    path.write_bytes(
        b'# Disk DescriptorFile\r\nversion=1\r\nencoding="UTF-8"\r\nCID=fffffffe\r\n'
        b'parentCID=ffffffff\r\nisNativeSnapshot="no"\r\ncreateType="twoGbMaxExtentSparse"\r\n'
        b'\r\n# Extent description\r\nRW 4192256 SPARSE "disk-s001.vmdk"\r\n'
        b'RW 2048 FLAT "disk-f002.vmdk" 0\r\nRW 63 ZERO\r\n\r\n# The Disk Data Base \r\n#DDB\r\n'
        b'ddb.adapterType = "lsilogic"\r\nddb.uuid.image="a b"\r\nddb.longContentID = "0"\r\n'
    )
    for name in ("disk-s001.vmdk", "disk-f002.vmdk"):
        (folder / name).write_bytes(bytes(512))
    _, chain = check(path)
    assert [Path(layer.path).name for layer in chain.layers[1:]] == [
        "disk-s001.vmdk",
        "disk-f002.vmdk",
    ]


@pytest.mark.parametrize(
    "piece",
    [b"\n", b" ", b" \n", b"#\n", b"a", b"a=\n", b"RW 1 ", b"RW\n", b'"\n', b"1", b"\t\r",
     b'RW 1 FLAT "x" 0\n', b"parentFileNameHint"],
)  # fmt: skip
def test_the_time_for_a_description_grows_with_its_size(piece: bytes) -> None:
    """Of four times the bytes; where it grew with their square, it would be sixteen times."""

    def cost(size: int) -> float:
        data = b"version=1\n" + piece * (size // len(piece))
        times = []
        for _ in range(3):
            begun = time.thread_time()
            parse(lambda offset, most: data[offset : offset + most])
            times.append(time.thread_time() - begun)
        return min(times)

    assert cost(1 << 15) < 10 * cost(1 << 13) + 0.01


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
