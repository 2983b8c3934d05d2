"""Serves machines on the network.

`server` serves the machines of this computer, and `served_screen` one screen of a machine:
`served_viewers` has its viewers, `audience` those that share one stream, and `shared_screen` the
pixels.
"""
