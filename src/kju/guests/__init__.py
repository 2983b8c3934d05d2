"""Guests built from Debian packages without root: the sample guest, parts of test guests."""
