"""The app in Qt: the main window, the wall and its pages."""
