"""SHELL: the texts that the kernel writes in /proc.

They name processes, sockets, mapped files and mount points of any user. Such a name is any bytes:
a process's own name is cut after 15 bytes, even in the middle of a character.
"""

from __future__ import annotations

from pathlib import Path


def read_proc(path: str | Path) -> str:
    """Return a text of the kernel's; bytes that are not UTF-8 are U+FFFD.

    Raises:
        OSError: It cannot be read, or its process has ended.
    """
    return Path(path).read_bytes().decode("utf-8", "replace")


def proc_lines(path: str | Path) -> list[str]:
    """Return its lines: names may have any character that ends a line elsewhere, but no newline.

    Raises:
        OSError: It cannot be read, or its process has ended.
    """
    return [line for line in read_proc(path).split("\n") if line]


def stat_fields(process: str | Path) -> list[str]:
    """Return the fields of a process's or thread's ``stat`` after the name; the first is the state.

    Args:
        process: The folder in /proc. Field N of proc_pid_stat(5) has the index N - 3.

    Raises:
        OSError: It has ended.
    """
    # The name is in brackets, and may contain spaces and brackets.
    return read_proc(Path(process) / "stat").rpartition(")")[2].split()
