"""SHELL: keyboards and pointers: clients' input, at the pace of the guest."""
