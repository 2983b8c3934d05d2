"""The control protocol between a host and its clients: `messages` in `framing`'s frames. Core.

`input_log` is the format of a machine's log of input.
"""
