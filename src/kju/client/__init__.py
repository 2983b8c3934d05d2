"""Surfaces and machines for programs, with threads or asyncio over one core."""
