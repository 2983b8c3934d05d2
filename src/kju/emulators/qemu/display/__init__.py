"""The screens of a QEMU: its D-Bus display, its video memory, and the choice of a source."""
