"""Screens that other computers serve, for the pages of this server.

`gateway` follows the computers, `mirror_origin` mirrors a screen while it is seen, `screen` has its
pages and their input, and `actions` what a page may do with it.
"""
