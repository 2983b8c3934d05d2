"""Emulators: a folder for each kind (`kju.protocol.values`).

`base` has the contract, `launch` the choice, `console` owns the surface of one screen, `input` is
the keyboard and pointer, `child` and `spawn` start and end child processes.
"""
