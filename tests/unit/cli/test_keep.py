"""kju edit with a real editor (sed): what is not right is refused, and never lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_host import fake_host

from kju import attach
from kju.cli import edit as editing
from kju.cli import keep
from kju.cli.power import parse
from kju.emulators.qemu import accelerator as probe
from kju.emulators.qemu import program as qemu
from kju.errors import UsageError
from kju.store import defined, defining
from kju.store.definition import Definition


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    defining.create("web", Definition(cpus=2))
    return tmp_path / "data" / "kju" / "machines" / "web" / "machine.toml"


def edit(monkeypatch: pytest.MonkeyPatch, how: str) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("EDITOR", how)
    words = [sys.executable, "-m", "kju.cli", "edit", "web"]
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_change_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = edit(monkeypatch, "sed -i s/2/3/")
    assert done.returncode == 0, done.stderr
    assert defined.read("web").definition.cpus == 3
    assert "has not changed" in edit(monkeypatch, "true").stdout
    assert [path.name for path in file.parent.iterdir()] == ["machine.toml"]


def test_what_is_not_right_is_kept_aside(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sed -i 's/cpus = 2/memory = \"1G\"\\ncolour = 1/'")
    aside = file.with_name("machine.toml.edited")
    assert done.returncode == 2
    assert f"{aside}:4: colour: unknown key" in done.stderr
    assert f"your text is in {aside}" in done.stderr
    assert file.read_text() == before
    # The next goes on with it.
    done = edit(monkeypatch, "sed -i /colour/d")
    assert "going on with the text that was not right" in done.stderr
    assert defined.read("web").definition.memory == "1G" and not aside.exists()


def test_an_editor_that_fails_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sh -c 'echo x >$0; exit 3'")
    assert done.returncode == 2 and "status 3" in done.stderr
    assert file.read_text() == before
    assert file.with_name("machine.toml.edited").read_text() == "x\n"
    assert "no-such-editor" in edit(monkeypatch, "no-such-editor").stderr


def test_a_definition_that_is_not_right_can_be_mended(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("cpus = many\n")
    assert edit(monkeypatch, "sed -i s/many/4/").returncode == 0
    assert defined.read("web").definition.cpus == 4


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (
            ["id=cd0", "force=true", "n=3", "x=a=b"],
            {"id": "cd0", "force": True, "n": 3, "x": "a=b"},
        ),
        (['{"a": {"b": [1]}}'], {"a": {"b": [1]}}),
        (['a={"b": 1}'], {"a": {"b": 1}}),
    ],
)
def test_arguments_of_qmp(words: list[str], arguments: dict[str, object]) -> None:
    assert parse(words) == arguments


@pytest.mark.parametrize("words", [["x"], ["=1"], ["{a"], ["a=1", "{}"]])
def test_arguments_that_are_none(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)


def test_an_empty_text_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    for how in ("truncate -s 0", "sed -i d", "sh -c 'printf \" \\n\\n\" >$0'"):
        done = edit(monkeypatch, how)
        assert done.returncode == 2 and "the text is empty; was the disk full?" in done.stderr
        assert file.read_text() == before
    # Nothing of it is gone on with.
    done = edit(monkeypatch, "true")
    assert "beginning anew" in done.stderr and "has not changed" in done.stdout
    assert [path.name for path in file.parent.iterdir()] == ["machine.toml"]


def test_a_text_that_was_cut_anywhere_never_counts(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_text()
    whole = editing.FIRST + before.replace("2", "3") + editing.LAST
    monkeypatch.setattr(editing, "_again", lambda: False)
    for size in range(len(whole.rstrip())):
        cut = whole[:size]
        monkeypatch.setattr(editing, "_run_editor", lambda path, c=cut: Path(path).write_text(c))
        with pytest.raises(UsageError):
            editing.edit("web")
        assert file.read_text() == before
    monkeypatch.setattr(editing, "_run_editor", lambda path: Path(path).write_text(whole))
    editing.edit("web")
    assert defined.read("web").definition.cpus == 3


def test_a_program_may_write_the_text_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = file.with_name("new.toml")
    new.write_text('name = "web"\ncpus = 7')
    assert edit(monkeypatch, f"cp {new}").returncode == 0
    assert file.read_text() == 'name = "web"\ncpus = 7\n'


def test_bytes_that_are_no_text_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_text()
    done = edit(monkeypatch, "sh -c 'printf \"cpus = 4 # \\377\\n\" >$0'")
    assert done.returncode == 2 and "the text is not UTF-8" in done.stderr
    assert file.read_text() == before


REASON = "\x1b]0;owned\x07 no KVM\nkju: all is well"
SHOWN = r"accelerator: tcg: \x1b]0;owned\x07 no KVM\nkju: all is well"


def test_create_escapes_the_reason_for_an_accelerator(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = qemu.require(qemu.inspect(qemu.locate("")))
    probe._remember(probe._cache_path(), found, probe.Accelerator("tcg", REASON, 0.1))
    keep.create("other", keep.Wish())
    assert SHOWN in capsys.readouterr().out.splitlines()


def test_start_escapes_the_reason_for_an_accelerator(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A machine that runs elsewhere says what its accelerator is.
    monkeypatch.setattr(keep.defined, "start", lambda name, detach: attach(name))
    with fake_host() as host:
        host.machine.info["accelerator"] = {"name": "tcg", "reason": REASON}
        keep.start("fake", watch=False)
    assert SHOWN in capsys.readouterr().out.splitlines()


def test_create_shows_every_file_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "base.raw").write_bytes(bytes(512))
    disk = tmp_path / "in" / "stranger.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "../base.raw", "-F", "raw"]
    subprocess.run([*command, str(disk)], check=True)
    words = [sys.executable, "-m", "kju.cli", "create", "strange", "--image", str(disk)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "outside its folder" in done.stderr and "--trust-disk" in done.stderr
    assert defined.names() == []
    done = subprocess.run(
        [*words, "--trust-disk", "--disk-bus", "scsi"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"disk: {disk} (qcow2)\nbacking: {tmp_path}/base.raw (raw)\n" in done.stdout
    made = defined.read("strange").definition
    assert made.trust_disk and made.disk_bus == "scsi"
