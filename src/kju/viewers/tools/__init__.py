"""Tools of a view without a toolkit: paste, recording and its playback, needles, text."""
