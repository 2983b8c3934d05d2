"""Input of a view: keys, grab and pointer, translated and sent to the machine."""
