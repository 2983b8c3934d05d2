"""The wall without a toolkit: search and order, thumbnails, the text of an empty wall."""
