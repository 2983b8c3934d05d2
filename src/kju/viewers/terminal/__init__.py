"""The terminal back end of `kju watch`.

`ability`, `canvas`, `dots`, `heat`, `input`, `keyboard`, `paint` and `status` are I/O-free;
`backend`, `lines`, `tty` and `view` are the shell.
"""
