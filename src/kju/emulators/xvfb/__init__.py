"""Xvfb: an X server whose framebuffer is a file."""
