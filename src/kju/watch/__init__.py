"""Waits, needles and text: what a program wants to see, and what it saw instead."""
