"""Apps: the `kju` command and what it shows. No logic of their own, and nothing imports them."""
