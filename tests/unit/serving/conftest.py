"""Fixtures for the tests of served screens and their viewers."""

from __future__ import annotations

from trusting import lab

__all__ = ["lab"]
