"""Emulators: a folder for each kind (`kju.protocol.values`).

`base` has the contract of an emulator, `launch` chooses its kind. `console` is one screen:
`console_surface` has its pixels, `supervisor` its source, `input` its keyboard and pointer. `child`
and `spawn` start and end child processes.
"""
