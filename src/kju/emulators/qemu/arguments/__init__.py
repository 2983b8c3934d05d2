"""QEMU's arguments: what kju appends to the user's, and why; `plan` decides."""
