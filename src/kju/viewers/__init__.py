"""Viewers of a machine: `contract` is what a back end implements; `stub`, `qt`, `terminal` do."""
