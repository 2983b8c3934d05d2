"""cpio archives in the "newc" form, of which an initramfs is made.

Source:
    The kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

FOLDER, FILE, PROGRAM, LINK = 0o040755, 0o100644, 0o100755, 0o120777


class Archive:
    """An archive in the making. A kernel takes several, one behind the other."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        """One file, folder or link (whose content is its target)."""
        fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self._append(b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0")
        self._append(content)

    def finish(self) -> bytes:
        """Return the whole archive."""
        self.add("TRAILER!!!", 0)
        return bytes(self._bytes)

    def _append(self, content: bytes) -> None:
        self._bytes += content
        self._bytes += bytes(-len(self._bytes) % 4)
