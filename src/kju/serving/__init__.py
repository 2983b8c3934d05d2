"""Serves machines on the network.

`served_machine` serves the machines of this computer, and `served_screen` one screen of a machine:
`served_viewers` has its viewers and their rate, `audience` those that share one stream, and
`shared_screen` the pixels. A `carrier` moves the messages: `zenoh_carrier`, which `server` uses,
and that of `kju.web`.
"""
