"""Viewers: `contract` defines a back end; `stub`, `qt` and `terminal` are three of them."""
