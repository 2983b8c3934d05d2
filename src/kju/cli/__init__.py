"""The `kju` command line. Nothing imports it.

`commands.SECTIONS` lists the commands. Each has its declaration and its work in the module of its
noun.
"""
