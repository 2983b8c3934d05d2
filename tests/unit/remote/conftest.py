"""Fixtures for the tests of trust and transport."""

from __future__ import annotations

from trusting import lab

__all__ = ["lab"]
