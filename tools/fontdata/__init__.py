"""Read the fonts of text consoles from the files of Debian packages."""
