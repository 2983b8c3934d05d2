"""Editing the definition of a kept machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from ..errors import DefinitionError, KjuError, UsageError
from ..files import Folder
from ..store import defined, defining
from ..store.defined import DefinedMachine
from ..store.definition import Definition
from ..store.paths import DEFINITION_FILE, check_name, definitions_folder
from .exits import line_of

# The editor is given the definition between these lines. An editor that could not write all of its
# text (the disk was full) leaves the first line and not the last one. A text with neither has been
# written anew, by a program.
FIRST = "# Keep this line and the last one: they show that the editor has saved everything.\n"
LAST = "# This is the last line.\n"


def edit(name: str) -> None:
    """Edit a definition until it is right; a text that is not right is kept beside it."""
    # A definition that is not right may be edited, above all.
    file = definitions_folder() / check_name(name) / DEFINITION_FILE
    if not file.is_file():
        defined.read(name)
    with Folder.open(file.parent, follow_own_link=True) as folder:
        before = folder.read(DEFINITION_FILE).decode(errors="surrogateescape")
        _prepare(folder, before)
        while True:
            _run_editor(str(folder.path / defined.EDITED))
            try:
                head, text = _edited(folder)
                if text == _ended(before):
                    folder.remove(defined.EDITED)
                    print(f"{name} has not changed")
                    return
                # With its first line, so that the lines in messages are the editor's.
                defined.checked(name, file.parent, head + text, folder.path / defined.EDITED)
            except DefinitionError as error:
                print(f"kju: {line_of(error)}", file=sys.stderr)
                if _again():
                    continue
                raise UsageError(
                    f"{name} has not changed; your text is in {folder.path / defined.EDITED}, and"
                    f" kju edit {name} continues with it"
                ) from error
            break
        defining.replace(DefinedMachine(name, file.parent, text, Definition()), text)
        folder.remove(defined.EDITED)
    print(f"{name} has changed; it counts from the next start")


def _prepare(folder: Folder, before: str) -> None:
    """Put the definition where the editor finds it, or leave the last text that was not right."""
    path = folder.path / defined.EDITED
    if folder.status(defined.EDITED) is not None:
        try:
            _, text = _edited(folder)
        except KjuError as error:
            print(f"beginning anew: {line_of(error)}", file=sys.stderr)
            text = _ended(before)
        # It is equal where the last edit counted, and its text could not be removed.
        if text != _ended(before):
            print(f"going on with the text that was not right last time ({path})", file=sys.stderr)
            return
    text = FIRST + _ended(before) + LAST
    folder.write(defined.EDITED, text.encode(errors="surrogateescape"))


def _edited(folder: Folder) -> tuple[str, str]:
    """The text that the editor has left, if it is whole: the first line if kept, and the rest.

    Raises:
        DefinitionError: It is empty, not whole, or not UTF-8.
    """
    path = str(folder.path / defined.EDITED)
    try:
        lines = folder.read(defined.EDITED).decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path}:1: the text is not UTF-8: {error}", path, 1) from error
    last = next((at for at in reversed(range(len(lines))) if lines[at].strip()), -1)
    if last < 0:
        raise DefinitionError(f"{path}:1: the text is empty; was the disk full?", path, 1)
    ends = lines[last].strip() == LAST.strip()
    begins = lines[0].strip() == FIRST.strip() or FIRST.startswith("".join(lines))
    if begins and not ends:
        where = f"{path}:{len(lines)}"
        why = f"the text is not whole: its last line must be {LAST.strip()!r}"
        raise DefinitionError(f"{where}: {why}; was the disk full?", path, len(lines))
    rest = _ended("".join(lines[begins : last if ends else None]))
    return "".join(lines[:begins]), rest


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _run_editor(path: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), path]).returncode
    except (OSError, ValueError) as error:
        raise UsageError(f"the editor {editor!r} cannot be run: {error}; set EDITOR") from error
    if status:
        raise UsageError(f"{editor!r} ended with status {status}; its text is in {path}")


def _again() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("edit again? [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
