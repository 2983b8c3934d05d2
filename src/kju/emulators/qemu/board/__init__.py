"""QEMU's machine types: what a board has, its firmware, and where its disks go."""
