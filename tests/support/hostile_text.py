"""Texts of a guest or a peer that must not reach a terminal as they are."""

#: Control sequences, and characters that reorder, hide or break a line.
HOSTILE = {
    "escape": "\x1b]0;owned\x07",
    "colour": "\x1b[31m",
    "C1 control": "\x9b31m",
    "C1 string": "\x90q\x9c",
    "line": "\nkju: all is well",
    "return": "\rkju: all is well",
    "next line": "\x85kju:",
    "separators": "\u2028\u2029",
    "backspace": "\x08\x7f",
    "zero": "\0",
    "override": "\u202eexe.txt",
    "isolate": "\u2066\u2069",
    "embedding": "\u202a\u202b\u202c\u200e\u200f",
    "no width": "\u200b\u2060\ufeff",
    "tags": "\U000e0041",
    "surrogate": "\ud800",
}
