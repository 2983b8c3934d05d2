"""Emulators: QEMU, Xvfb, and the mirror of a remote machine. `base` has the contract.

`console` owns the surface of one screen, `input` is what clients type and point, `process` starts
and ends child processes.
"""
