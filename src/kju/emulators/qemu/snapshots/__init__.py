"""Snapshots of a whole machine of QEMU, in its own disks; `store` has the operations."""
