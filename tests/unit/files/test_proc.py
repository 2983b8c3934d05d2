"""Names in /proc are any bytes, and so is the output of another program."""

from __future__ import annotations

import ast
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kju
from kju.files import proc_lines, read_proc, stat_fields
from kju.memory.file import has_died, own_identity
from kju.store import running
from kju.viewers.targets import cpu_seconds

SOURCE = Path(kju.__file__).parent
#: The middle of a character, a bracket and a space, the end of a line for `str.splitlines`.
NAME = b"a) \xf8 \x0c\x85"


@pytest.fixture
def named() -> Iterator[int]:
    """Give this process a name that is not UTF-8."""
    name = Path("/proc/self/comm")
    before = name.read_bytes()
    name.write_bytes(NAME)
    yield os.getpid()
    name.write_bytes(before.strip())


def test_fields_follow_any_name(named: int) -> None:
    assert NAME in Path(f"/proc/{named}/stat").read_bytes()
    fields = stat_fields(f"/proc/{named}")
    assert fields[0] in ("R", "S") and int(fields[1]) == os.getppid()


def test_processes_with_any_name_are_examined(named: int) -> None:
    assert running.start_time(named) > 0
    assert not running.is_stopped(named)
    assert not has_died(own_identity(locks=False), -1)
    assert cpu_seconds(named) > 0


def test_ended_process_has_no_start_time_and_is_not_stopped() -> None:
    missing = int(read_proc("/proc/sys/kernel/pid_max")) + 1
    assert running.start_time(missing) == 0
    assert not running.is_stopped(missing)


def test_lines_end_with_a_newline_only(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xf8\x0c\xe2\x80\xa8\x85"
    with open(path, "w+b") as file:
        file.write(bytes(mmap.PAGESIZE))
        file.flush()
        with mmap.mmap(file.fileno(), 0):
            (line,) = [line for line in proc_lines("/proc/self/maps") if str(tmp_path) in line]
    assert line.endswith("/\N{REPLACEMENT CHARACTER}\x0c\u2028\N{REPLACEMENT CHARACTER}")


def strict(text: str) -> set[str]:
    """Return the calls that fail if another program's bytes are not UTF-8."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        names = ("text", "universal_newlines")
        if any(word.arg in names and ast.unparse(word.value) == "True" for word in node.keywords):
            found.add(ast.unparse(node.func))
        if getattr(node.func, "attr", "") == "read_text" and "/proc" in ast.unparse(node.func):
            found.add(ast.unparse(node.func))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "run(words, text=True)",
        "Path('/proc/self/maps').read_text()",
        "Path(f'/proc/{pid}/stat').read_text()",
    ],
)
def test_strict_decoding_is_found(text: str) -> None:
    assert strict(text)


def test_output_of_other_programs_is_not_decoded_strictly() -> None:
    # With `errors="replace"` a process's output is text, too.
    found = {
        str(path.relative_to(SOURCE)): calls
        for path in sorted(SOURCE.rglob("*.py"))
        if (calls := strict(path.read_text()))
    }
    assert not found
