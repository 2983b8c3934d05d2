"""SHELL: the files of the page, which are built from `web/` of the source tree.

They are read again when they have changed, so that a page of an older version can reload itself.

The first file names the others with their versions (``/app.js?v=0123456789abcdef``), so a browser
may keep these for ever: a second visit requests the first file only.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

from ..files import read_file

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
#: The files with paths, which begin with ``"/``. A proxy may serve the page below another path.
WITH_PATHS = (INDEX, "app.webmanifest")
#: The most bytes of one file.
MAX_ASSET = 4 << 20
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
MISSING = (
    "the page is not built in this checkout: run `npm ci --ignore-scripts && npm run build` in"
    " web/, or install a wheel of kju"
)


class Asset(NamedTuple):
    """One file.

    Attributes:
        data: Its content.
        compressed: The same, gzipped; empty if that is not shorter.
        type: Its media type.
        tag: Changes with the content.
    """

    data: bytes
    compressed: bytes
    type: str
    tag: str

    @property
    def version(self) -> str:
        """The tag, for a URL."""
        return self.tag.strip('"')


class Assets:
    """The files of the page.

    Args:
        folder: Their folder.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._state: tuple[tuple[str, int, int], ...] | None = None
        self._files: dict[str, Asset] = {}
        self._build = ""

    @property
    def build(self) -> str:
        """The version of the files."""
        self._update()
        return self._build

    def find(self, name: str) -> Asset | None:
        """Return a file by its path below the folder; None for a missing one."""
        self._update()
        return self._files.get(name)

    def _update(self) -> None:
        paths = [path for path in sorted(self._folder.rglob("*")) if path.suffix in _TYPES]
        status = [(path, path.stat()) for path in paths if path.is_file()]
        state = tuple((str(path), each.st_mtime_ns, each.st_size) for path, each in status)
        if state == self._state:
            return
        total, files = hashlib.sha256(), dict[str, Asset]()
        for path, _ in status:
            name, data = path.relative_to(self._folder).as_posix(), read_file(path, MAX_ASSET)
            total.update(f"{name}\0{len(data)}\0".encode() + data)
            files[name] = _asset(data, _TYPES[path.suffix])
        self._files, self._build = files, total.hexdigest()[:16]
        if INDEX in files:
            files[INDEX] = _with_versions(files, self._build)
        self._state = state


def _asset(data: bytes, media_type: str) -> Asset:
    compressed = gzip.compress(data, 9, mtime=0)
    if len(compressed) >= len(data):
        compressed = b""
    return Asset(data, compressed, media_type, f'"{hashlib.sha256(data).hexdigest()[:16]}"')


def _with_versions(files: dict[str, Asset], build: str) -> Asset:
    """Return the first file, with the versions of all files and of each that it names."""
    data, media_type = files[INDEX].data, files[INDEX].type
    data = data.replace(b'data-build=""', f'data-build="{build}"'.encode())
    for name, each in files.items():
        data = data.replace(f'"/{name}"'.encode(), f'"/{name}?v={each.version}"'.encode())
    return _asset(data, media_type)
