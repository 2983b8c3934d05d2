"""The terminal viewer: a core that turns pixels into bytes, and a shell that writes them.

`cells`, `paint`, `ability` and `status` are I/O-free; `tty`, `view` and `lines` are the shell.
"""
