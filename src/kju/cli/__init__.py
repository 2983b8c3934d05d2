"""The `kju` command line. Nothing imports it."""
