"""QEMU's machine types: a board's devices, its firmware, and the bus of its disks."""
