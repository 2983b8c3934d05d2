"""The tools of a console window in Qt: paste, recording, screenshots, needles, text."""
