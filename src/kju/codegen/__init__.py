"""Scripts that repeat a person's actions in a guest: `kju codegen`.

    steps       actions of the input log, joined: a text, a double click
    history     the last frames of the screen, with their times
    reading     a frame of the screen that is read once
    places      a locator for the place of a click
    appearing   the text that has appeared since the step before; a script waits for it
    script      the lines of the script
    forms       the whole script, in three forms
    recorder    SHELL: follows a machine's screen and its input log, and writes the files
    background  SHELL: a recorder on a thread of its own
    qt          its actions in a console window

The recorder finds the frame for each step, and the script asks `places` and `appearing` about it.
"""
