"""No other module writes or removes files: `kju.files` does, so that its rules hold everywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kju

SOURCE = Path(kju.__file__).parent
ARCHITECTURE = Path(__file__).resolve().parents[3] / "docs" / "architecture" / "machines.md"
#: Methods of a path that change something on a disk, and functions of os and shutil.
METHODS = {
    "chmod", "hardlink_to", "lchmod", "mkdir", "rmdir", "rmtree", "symlink_to", "unlink",
    "write_bytes", "write_text",
}  # fmt: skip
#: The same, where methods of other classes have that name: those take two arguments or more
#: (`Folder.rename`, texts, structs, fingers). A path's takes one, or none.
SHORT_METHODS = {"rename", "replace", "touch"}
FUNCTIONS = METHODS | {
    "chown", "copy", "copy2", "copyfile", "copytree", "link", "makedirs", "mkfifo", "mknod", "move",
    "remove", "removedirs", "rename", "renames", "replace", "symlink", "truncate",
}  # fmt: skip
TEMPORARY = {
    "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "TemporaryFile", "mkdtemp",
    "mkstemp",
}  # fmt: skip
FLAGS = {"O_CREAT", "O_RDWR", "O_TMPFILE", "O_TRUNC", "O_WRONLY"}
#: Classes and modules whose `open` takes no mode first. `os.open` is judged by its `FLAGS`.
OPENERS = {"Engine", "Folder", "Image", "os", "zenoh"}
#: These modules may write files by themselves: apt, dpkg, tar and qemu-img, which they run, write
#: by paths as well. All of it happens in the user's own cache folder, which `kju.files` opens and
#: locks, and the disk that is built there is written by `kju.files`.
BUILDERS = {"guests/debian.py", "guests/boot.py"}
#: What these modules do is not a write of a file. A call is named as it is written.
EXCEPTIONS = {
    # A surface is mapped memory: made, named and removed under record locks.
    ("memory/file.py", "os.link"), ("memory/file.py", "hidden.unlink"),
    ("memory/file.py", "remains.unlink"),
    ("memory/file.py", "O_CREAT"), ("memory/file.py", "O_TMPFILE"), ("memory/file.py", "O_RDWR"),
    ("memory/file.py", "hidden.replace"), ("memory/posix.py", "path.unlink"),
    ("memory/posix.py", "O_TMPFILE"), ("memory/posix.py", "O_RDWR"),
    # A memfd, opened for writing once more: QEMU looks for such a descriptor.
    ("emulators/qemu/display/screenshot.py", "O_WRONLY"),
    # A log of kju's own class, which writes through `kju.files`.
    ("emulators/input/devices.py", "self._log.replace"),
    ("emulators/qemu/snapshots.py", "self._context.inputs.replace"),
    # Descriptors that are open already: a memfd, and standard output.
    ("emulators/qemu/program.py", "os.fdopen"), ("remote/connection_errors.py", "os.fdopen"),
    # Ray's record of a cluster that kju has ended.
    ("fleet/local.py", "path.unlink"),
    # Devices.
    ("cli/output.py", "O_WRONLY"), ("cli/demo/link.py", "O_RDWR"),
    # A new folder (mode 0700, random name) for programs that write by paths, removed at the end.
    ("guests/sample.py", "tempfile.TemporaryDirectory"),
    ("cli/demo/remote.py", "tempfile.TemporaryDirectory"),
    # Pictures, into memory; `write_output` does the rest.
    ("encoding.py", "image.save"),
    ("client/consumer/frame.py", "Image.fromarray(np.asarray(frame)).save"),
    # Methods of kju's own: screens, needles, timeouts and reports write through `write_output`.
    ("cli/wait.py", "made.save"),
    ("viewers/viewer.py", "self._connection.save"), ("cli/wait.py", "error.save"),
    ("viewers/qt/tools/capture.py", "buffer.open"),
    ("viewers/machine_control.py", "machine.snapshots.save"), ("report/record.py", "error.save"),
    ("report/record.py", "self.save"),
    ("viewers/connection.py", "attachment.save"),
    ("viewers/qt/tools/needle_dialog.py", "needle.save"), ("codegen/recorder.py", "needle.save"),
    # A video, into a file of `kju.files`; and one that is read.
    ("viewers/tools/video.py", "av.open"), ("viewers/tools/playback.py", "av.open"),
    ("viewers/terminal/view.py", "self.viewer.save"),
    # A snapshot, in QEMU's disks.
    ("cli/machines/running.py", "machine.snapshots.save"),
    ("desktop/actions.py", "machine.snapshots.save"),
    ("desktop/qt/pages/snapshot_page.py", "self.model.save"),
    ("desktop/pages/snapshot_tree.py", "machine.snapshots.save"),
    ("desktop/pages/snapshot_tree.py", "self._work.save"),
    # Messages, connections and displays that are opened.
    ("wire/receiver_session.py", "opens.open"), ("wire/sender_session.py", "self.seal.open"),
    ("emulators/mirror/emulator.py", "self._mirror.open"),
    ("desktop/wall/remote_session.py", "mirror.open"),
    ("web/remote/mirror_origin.py", "mirror.open"),
    ("serving/served_screen.py", "self._screen.open"),
    ("serving/served_screen.py", "self._carrier.open"), ("web/pictures.py", "origin.open"),
    ("remote/mirror.py", "self._link.open"),
    ("serving/shared_screen.py", "self._origin.open"),
    ("emulators/qemu/emulator.py", "self.display.open"),
    ("emulators/qemu/display/display.py", "self.input.open"),
}  # fmt: skip


def writes(text: str) -> set[str]:
    """Return the calls in a program that may change files, and flags for writing."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in FLAGS:
            found.add(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil"):
            found |= {alias.name for alias in node.names} & FUNCTIONS
        if isinstance(node, ast.Call) and changes_files(node):
            found.add(ast.unparse(node.func))
    return found


def changes_files(node: ast.Call) -> bool:
    """Return whether a call may change files. A variable's name proves nothing."""
    is_method = isinstance(node.func, ast.Attribute)
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    owner = getattr(getattr(node.func, "value", None), "id", "")
    if name in TEMPORARY | METHODS:
        return True
    if name in FUNCTIONS and owner in ("os", "shutil"):
        return True
    if name in SHORT_METHODS:
        return is_method and len(node.args) <= 1 and not spread(node)
    if name == "save":
        return is_method and bool(node.args or node.keywords)
    if name == "fdopen":
        return opens_for_writing(node.args[1:], node.keywords)
    if name == "open":
        return owner not in OPENERS and opens_for_writing(node.args[not is_method :], node.keywords)
    return False


def spread(node: ast.Call) -> bool:
    """Return whether a call has arguments that only a struct's `replace` has."""
    return any(keyword.arg not in ("target", "mode", "exist_ok") for keyword in node.keywords)


def opens_for_writing(values: list[ast.expr], keywords: list[ast.keyword]) -> bool:
    """Return whether the arguments after the file may be a mode for writing; unknown ones may."""
    modes = [*values[:1], *(keyword.value for keyword in keywords if keyword.arg in ("mode", None))]
    return any(
        not isinstance(mode, ast.Constant) or bool(set(str(mode.value)) & set("wxa+"))
        for mode in modes
    )


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
        "folder.mkdir()",
        "folder.unlink()",
        "home.write_text(text)",
        "machines.rename(target)",
        "p.touch()",
        "p.touch(0o600, exist_ok=False)",
        "new.replace(target=path)",
        "tempfile.NamedTemporaryFile(delete=False)",
        "mkdtemp()",
        "from shutil import copyfile",
        "unlink(path)",
        "Image.new('RGB', size).save(path)",
        "image.save(fp=path)",
        "path.open(mode)",
        "path.open(mode='r+b')",
        "open(path, mode)",
        "open(path, **options)",
        "os.fdopen(descriptor, mode)",
    ],
)
def test_a_write_is_found(text: str) -> None:
    assert writes(text)


@pytest.mark.parametrize(
    "text",
    [
        "machines.rename(old, new)",
        "folder.write(name, data)",
        "folder.remove(name)",
        "Folder.open(path, create=True)",
        "open(path)",
        "open(path, encoding='utf-8')",
        "path.open('rb')",
        "os.fdopen(descriptor)",
        "text.replace('a', 'b')",
        "msgspec.structs.replace(reply, **numbers)",
        "events.touch('end', finger)",
        "player.save()",
    ],
)
def test_other_calls_are_not_writes(text: str) -> None:
    assert not writes(text)


def test_no_other_module_writes_files() -> None:
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent != SOURCE / "files" and str(path.relative_to(SOURCE)) not in BUILDERS
        for name in writes(path.read_text())
    }
    assert found == EXCEPTIONS


def test_the_plug_in_writes_no_files() -> None:
    # Errors of kju's own: see `EXCEPTIONS`.
    found = writes((SOURCE.parent / "pytest_kju.py").read_text())
    assert found == {"error.save"}


def test_every_exempt_module_is_named_in_the_documentation() -> None:
    text = ARCHITECTURE.read_text()
    wanted = BUILDERS | {name for name, call in EXCEPTIONS if call.startswith("tempfile.")}
    assert not {name for name in wanted if f"`{name}`" not in text}
