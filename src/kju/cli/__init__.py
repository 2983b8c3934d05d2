"""The `kju` command line. No other folder imports it.

`app.SECTIONS` is the table of the commands. Each module has the commands of one subject and their
work; `command` and `output` are the frame that they share.
"""
