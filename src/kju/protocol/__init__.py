"""The control protocol between a host and its clients: `messages` in the frames of `framing`. Core.

`kinds` is the table of emulator kinds, `input_log` the format of a machine's log of input.
"""
