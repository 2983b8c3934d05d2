"""The wall in Qt: the item view, its tiles, its page."""
