"""`kju edit` with a real editor (sed): invalid text is rejected, and never lost."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from kju.cli.machines import defined as editing
from kju.errors import UsageError
from kju.store import defining, definitions
from kju.store.machine_toml import Definition


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    defining.create("web", Definition(cpus=2))
    return tmp_path / "data" / "kju" / "machines" / "web" / "machine.toml"


class Edited(NamedTuple):
    """The output of an edit and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def edit(monkeypatch: pytest.MonkeyPatch, how: str) -> Edited:
    """Edit in a terminal; errors go to a pipe, so that no question is asked."""
    monkeypatch.setenv("EDITOR", how)
    words = [sys.executable, "-m", "kju.cli", "edit", "web"]
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            words, stdin=slave, stdout=slave, stderr=subprocess.PIPE, text=True, timeout=60
        )
        os.close(slave)
        printed = b""
        with contextlib.suppress(OSError):  # the end of a terminal whose other side is closed
            while data := os.read(master, 4096):
                printed += data
    finally:
        os.close(master)
    return Edited(done.returncode, printed.decode(), done.stderr)


def test_edit_without_a_terminal_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/2/3/")
    words = [sys.executable, "-m", "kju.cli", "edit", "web"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr == (
        f"kju: kju edit needs a terminal; a program can change the file itself: {file}\n"
    )
    assert definitions.read("web").definition.cpus == 2


def test_a_valid_change_is_applied(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = edit(monkeypatch, "sed -i s/2/3/")
    assert done.returncode == 0, done.stderr
    assert definitions.read("web").definition.cpus == 3
    assert "has not changed" in edit(monkeypatch, "true").stdout
    assert [path.name for path in file.parent.iterdir()] == ["machine.toml"]


def test_an_invalid_text_is_saved_for_the_next_edit(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sed -i 's/cpus = 2/memory = \"1G\"\\ncolour = 1/'")
    aside = file.with_name("machine.toml.edited")
    assert done.returncode == 2
    assert f"{aside}:4: colour: unknown key" in done.stderr
    assert f"your text is in {aside}" in done.stderr
    assert file.read_text() == before
    # The next edit continues with it.
    done = edit(monkeypatch, "sed -i /colour/d")
    assert "continuing with the last text, which has errors" in done.stderr
    assert definitions.read("web").definition.memory == "1G" and not aside.exists()


def test_an_editor_that_fails_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sh -c 'echo x >$0; exit 3'")
    assert done.returncode == 2 and "status 3" in done.stderr
    assert file.read_text() == before
    assert file.with_name("machine.toml.edited").read_text() == "x\n"
    assert "no-such-editor" in edit(monkeypatch, "no-such-editor").stderr


def test_an_invalid_definition_can_be_repaired(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("cpus = many\n")
    assert edit(monkeypatch, "sed -i s/many/4/").returncode == 0
    assert definitions.read("web").definition.cpus == 4


def test_an_empty_text_is_rejected(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    for how in ("truncate -s 0", "sed -i d", "sh -c 'printf \" \\n\\n\" >$0'"):
        done = edit(monkeypatch, how)
        assert done.returncode == 2 and "the text is empty; was the disk full?" in done.stderr
        assert file.read_text() == before
    # The next edit does not continue with it.
    done = edit(monkeypatch, "true")
    assert "starting again from the definition" in done.stderr and "has not changed" in done.stdout
    assert [path.name for path in file.parent.iterdir()] == ["machine.toml"]


def test_a_truncated_text_is_never_applied(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    whole = editing._FIRST_LINE + before.replace("2", "3") + editing._LAST_LINE
    monkeypatch.setattr(editing, "_wants_to_continue", lambda: False)
    for size in range(len(whole.rstrip())):
        cut = whole[:size]
        monkeypatch.setattr(editing, "_run_editor", lambda path, c=cut: Path(path).write_text(c))
        with pytest.raises(UsageError):
            editing.edit_definition("web")
        assert file.read_text() == before
    monkeypatch.setattr(editing, "_run_editor", lambda path: Path(path).write_text(whole))
    editing.edit_definition("web")
    assert definitions.read("web").definition.cpus == 3


def test_a_text_without_the_marker_lines_is_applied(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = file.with_name("new.toml")
    new.write_text('name = "web"\ncpus = 7')
    assert edit(monkeypatch, f"cp {new}").returncode == 0
    assert file.read_text() == 'name = "web"\ncpus = 7\n'


def test_invalid_utf8_is_rejected(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sh -c 'printf \"cpus = 4 # \\377\\n\" >$0'")
    assert done.returncode == 2 and "the text is not UTF-8" in done.stderr
    assert file.read_text() == before
