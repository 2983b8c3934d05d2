r"""Escape untrusted text before it is shown. All such text passes through here. I/O-free.

The text may come from a guest, a peer on the network, QEMU, a file or a file's name. Dangerous
characters are C0 and C1 controls (escape sequences of a terminal), bidirectional overrides and
zero-width characters (they reorder or hide other text), and line ends (they fake a second
message). Each is replaced with its Python escape, such as ``\x1b``.

| shown in | function |
|---|---|
| a terminal, a log, a window's title: one line | `one_line` |
| a page's ``pre``, a traceback: several lines | `lines` |
| a page | `lines`, in an ElementTree, which escapes ``<``, ``>``, ``&`` and quotes |
| a Qt label | `one_line`, in a label whose format is PlainText: Qt draws HTML else |
| another computer: an error, an event | `without_folders` first: it removes the folders of paths |
| JSON | ``json.dumps``, which escapes all but ASCII |
| `kju serial` | nothing: a serial port's bytes are the terminal's, as with a serial cable |
"""

from __future__ import annotations

import re

#: The folders of a path: its beginning, and components that end with a slash. A component may have
#: spaces in it, but no punctuation of a sentence.
_WORD = r"""[^\s/:;,()'"]+"""
_FOLDERS = re.compile(
    rf"(?<![\w.:/~-])(?:~|\.{{0,2}})/+(?=[^\s/])(?:{_WORD}(?: (?![.~]){_WORD})*/)*"
)


def one_line(text: str, longest: int = 0) -> str:
    """Return a text as one line of visible characters and plain spaces.

    Args:
        text: Untrusted text.
        longest: Maximum number of characters to keep (0: all).
    """
    text = text[:longest] if longest else text
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def without_folders(text: str) -> str:
    """Return a text for another computer: of each path only the file's name is left.

    Folders reveal the names of users and the places of files.
    """
    return _FOLDERS.sub("", text)


def lines(text: str) -> str:
    """Return a text of visible characters and plain spaces that keeps its line ends."""
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    r"""Return the escape of a character, such as ``\x1b``, or four spaces for a tab."""
    return "    " if character == "\t" else character.encode("unicode_escape").decode()
