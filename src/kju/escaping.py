r"""Text from elsewhere, made safe to show: the one place that does it. I/O-free.

A guest, a peer on the network, QEMU, a file or a file's name may choose a text's characters. Some
are obeyed or hide something: C0 and C1 controls (a terminal's escapes), bidirectional overrides and
characters without width (they reorder or hide what stands beside them), line ends (one message
looks like two). All of these become visible: each is spelled as Python spells it, as in ``\x1b``.

| shown in | function |
|---|---|
| a terminal, a log, a window's title: one line | `one_line` |
| a page's ``pre``, a traceback: several lines | `lines` |
| a page | `lines`, in an ElementTree, which escapes ``<``, ``>``, ``&`` and quotes |
| a Qt label | `one_line`, in a label whose format is PlainText: Qt draws HTML else |
| JSON | ``json.dumps``, which escapes all but ASCII |
| `kju serial` | nothing: a serial port's bytes are the terminal's, as with a serial cable |
"""

from __future__ import annotations


def one_line(text: str, longest: int = 0) -> str:
    """Return a text as one line of visible characters and plain spaces.

    Args:
        text: From anywhere.
        longest: Characters of it that are kept; 0 keeps all.
    """
    text = text[:longest] if longest else text
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else spelled(c) for c in text)


def lines(text: str) -> str:
    """Return a text with its line ends, and otherwise visible characters and plain spaces."""
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c == "\n" else spelled(c) for c in text)


def spelled(character: str) -> str:
    r"""Return a character's escape, such as ``\x1b``; a tab as four spaces."""
    return "    " if character == "\t" else character.encode("unicode_escape").decode()
