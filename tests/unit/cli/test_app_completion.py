"""Completion of commands, options, values and machines' names in bash, zsh and fish."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kju.cli import app
from kju.store import defining
from kju.store.machine_toml import Definition

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def complete(
    shell: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Ask as the script of a shell does."""
    monkeypatch.setenv("_KJU_COMPLETE", f"complete_{shell}")
    if shell == "bash":
        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    else:
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(words))
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert app.run([]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "found", "others"),
    [
        (["kju", "scr"], "screenshot", "serve"),
        (["kju", "snapshot", "l"], "load", "save"),
        (["kju", "run", "--det"], "--detach", "--memory"),
        (["kju", "run", "--disk-bus", "vir"], "virtio", "scsi"),
        (["kju", "start", "we"], "web", "other"),
        (["kju", "stop", "al"], "alpine", "web"),
        (["kju", "completion", "z"], "zsh", "bash"),
    ],
    ids=str,
)
def test_words_are_completed(
    shell: str,
    words: list[str],
    found: str,
    others: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("web", "other"):
        defining.create(name, Definition())
    monkeypatch.setattr("kju.store.running.names", lambda: ["alpine", "web"])
    printed = complete(shell, words, monkeypatch, capsys)
    assert found in printed and others not in printed


def test_a_command_is_completed_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys\nsys.argv = ['kju']\nfrom kju.cli.app import run\nassert run([]) == 0\n"
        "assert not {'numpy', 'kju.client'} & set(sys.modules)"
    )
    monkeypatch.setenv("_KJU_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "kju s")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"screenshot", "serve", "start"} <= set(done.stdout.split())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_names_the_command_and_the_variable(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "kju" in script and f"_KJU_COMPLETE=complete_{shell}" in script


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    kju = tmp_path / "kju"
    kju.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kju.cli "$@"\n')
    kju.chmod(0o755)
    script = f"""
    PATH={tmp_path}:$PATH
    eval "$(kju completion bash)"
    COMP_WORDS=(kju snap) COMP_CWORD=1
    _kju_completion kju
    printf '%s\\n' "${{COMPREPLY[@]}}"
    complete -p kju
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["snapshot", "complete -o default -F _kju_completion kju"]


def test_an_unknown_shell_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["completion", "csh"]) == 2
    assert "choose one of: bash, zsh, fish" in capsys.readouterr().err
