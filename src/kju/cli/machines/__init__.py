"""Commands for machines: running ones, defined ones, and their state."""
