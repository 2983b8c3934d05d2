"""SHELL: read a file that somebody else may have made, up to a limit."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LimitError


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a whole file; a device or a file that grows cannot take all memory.

    Args:
        path: The file.
        most: Bytes that a file of this kind has at most.

    Raises:
        LimitError: It has more.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise LimitError(
            f"{os.fspath(path)} has more than {most} bytes, the most that such a file may have",
            "bytes of a file", most, len(data),
        )  # fmt: skip
    return data
