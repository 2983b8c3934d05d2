"""SHELL: what clients do to a guest: keys and pointers, as fast as it takes them."""
