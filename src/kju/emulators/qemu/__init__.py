"""QEMU: finding it, its command line, its processes, QMP, D-Bus display and video memory."""
