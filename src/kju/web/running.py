"""SHELL: the web servers of this user that run, so that `kju web link` can print a whole URL.

A server holds a lock (flock(2)) while it runs, which the kernel releases with the process. Beside
it is a file with the server's address.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError, WaitTimeoutError
from ..files import Folder
from ..store.paths import web_folder

_ADDRESS = re.compile(r"server-(\d+)\.url")
#: The most bytes of an address.
_MAX_URL = 1024


@contextlib.contextmanager
def announced(url: str, port: int, folder: Path | None = None) -> Iterator[None]:
    """Announce a server while the block runs.

    Args:
        url: The address of its page.
        port: Its port.
        folder: The folder of the file; by default this user's.
    """
    address, lock = f"server-{port}.url", f"server-{port}.lock"
    with Folder.open(folder or web_folder(), create=True) as opened, opened.lock(lock):
        opened.write(address, url.encode(), durable=False)
        try:
            yield
        finally:
            opened.remove(address)
            opened.remove(lock)


def running_urls(folder: Path | None = None) -> list[str]:
    """Return the addresses of the servers that run; the files of killed ones are removed."""
    try:
        with Folder.open(folder or web_folder()) as opened:
            found = [_url(opened, name, port) for name, port in _addresses(opened)]
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        return []
    return [url for url in found if url]


def _addresses(folder: Folder) -> list[tuple[str, str]]:
    return [(name, found[1]) for name in folder.names() if (found := _ADDRESS.fullmatch(name))]


def _url(folder: Folder, address: str, port: str) -> str:
    lock = f"server-{port}.lock"
    try:
        with folder.lock(lock, timeout=0):
            folder.remove(address)
            folder.remove(lock)
    except WaitTimeoutError:
        with contextlib.suppress(FileError):  # it ends at this moment
            return folder.read(address, limit=_MAX_URL).decode()
    return ""
