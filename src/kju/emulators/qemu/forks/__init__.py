"""Freeze a running guest, and start forks of it."""
