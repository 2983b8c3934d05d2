"""No other module writes or removes files: `kju.files` does, so that its rules hold everywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kju

SOURCE = Path(kju.__file__).parent
#: Methods of a path that change something on a disk, and functions of os and shutil.
METHODS = {
    "chmod", "hardlink_to", "lchmod", "mkdir", "rename", "rmdir", "rmtree", "symlink_to", "unlink",
    "write_bytes", "write_text",
}  # fmt: skip
FUNCTIONS = METHODS | {
    "chown", "copy", "copy2", "copyfile", "copytree", "link", "makedirs", "mkfifo", "mknod", "move",
    "remove", "removedirs", "renames", "replace", "symlink", "truncate",
}  # fmt: skip
FLAGS = {"O_CREAT", "O_RDWR", "O_TMPFILE", "O_TRUNC", "O_WRONLY"}
#: They unpack and build packages in a folder of this user's cache; what they build is written
#: by `kju.files`.
BUILDERS = {"guests/debian.py", "guests/disk.py", "guests/kernel.py"}
#: What these modules do is not a write of a file.
EXCEPTIONS = {
    # A surface is mapped memory: made, named and removed under record locks.
    ("memory/file.py", "link"), ("memory/file.py", "unlink"), ("memory/file.py", "O_CREAT"),
    ("memory/file.py", "O_TMPFILE"), ("memory/file.py", "replace"), ("memory/file.py", "O_RDWR"),
    ("memory/posix.py", "unlink"), ("memory/posix.py", "O_TMPFILE"), ("memory/posix.py", "O_RDWR"),
    # A memfd, opened for writing once more: QEMU looks for such a descriptor.
    ("host/video.py", "O_WRONLY"),
    # A log of kju's own class, which writes through `kju.files`.
    ("host/input/log.py", "replace"), ("host/snapshots.py", "replace"),
    # Descriptors that are open already: a memfd, and standard output.
    ("host/probe.py", "open w+b"), ("apps/refusals.py", "open w"),
    # Devices.
    ("apps/command.py", "O_WRONLY"), ("testing/link.py", "O_RDWR"),
}  # fmt: skip


def writes(text: str) -> set[str]:
    """The names in a program by which it changes files."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in FLAGS:
            found.add(node.attr)
        if isinstance(node, ast.Call):
            found |= called(node)
    return found


def called(node: ast.Call) -> set[str]:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    owner = getattr(getattr(node.func, "value", None), "id", "")
    # Calls of `kju.files` have the same names.
    if name in METHODS and owner not in ("folder", "machines", "home"):
        return {name}
    if name in FUNCTIONS and owner in ("os", "shutil"):
        return {name}
    # Path.replace takes one argument; those of texts and of structs take more.
    if name == "replace" and len(node.args) == 1 and not node.keywords:
        return {name}
    if name in ("open", "fdopen"):
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        modes = {str(value.value) for value in values if isinstance(value, ast.Constant)}
        return {f"open {m}" for m in modes if len(m) < 4 and set(m) & set("wxa+")}
    return set()


@pytest.mark.parametrize(
    "text",
    [
        "path.write_text('x')",
        "Path(x).write_bytes(b'')",
        "open(path, 'w')",
        "path.open('xb')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "new.replace(path)",
        "shutil.rmtree(place)",
        "os.unlink(path)",
        "path.parent.mkdir()",
    ],
)
def test_finds_writes(text: str) -> None:
    assert writes(text)


def test_no_other_module_writes_files() -> None:
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent.name != "files" and str(path.relative_to(SOURCE)) not in BUILDERS
        for name in writes(path.read_text())
    }
    assert found == EXCEPTIONS
