"""The `kju` command line. Nothing imports it.

`app.SECTIONS` lists the commands; each has its declaration and its work in the module of its noun.
"""
