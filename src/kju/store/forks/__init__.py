"""Frozen machines and their forks on disk.

held_folder   SHELL: a folder that exists as long as a process holds it
places        SHELL: where guests' memory and overlays lie; the budget of memory
description   core: the facts of a base, and why a QEMU cannot load it
bases         SHELL: memory and state of a frozen machine: reserve, freeze, find, check, list
copies        SHELL: a copy of a base of another computer
qcow2         core: the bytes of a new, empty overlay
overlays      SHELL: the disks of a forkable machine and of a fork
unmerged      SHELL: writes the overlays of a frozen machine back into the user's disk
"""
