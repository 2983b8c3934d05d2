"""The recording of a script in a console window."""
