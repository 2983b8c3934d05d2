"""The terminal back end of `kju watch`.

`canvas`, `paint`, `parser` and `status_line` are I/O-free; `backend`, `tty` and `view` are the
shell.
"""
