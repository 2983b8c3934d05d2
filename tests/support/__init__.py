"""Helpers of the tests: fakes, scenes, guests and waits."""
