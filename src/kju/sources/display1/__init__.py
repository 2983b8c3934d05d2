"""org.qemu.Display1 without I/O: messages to send, a splitter, a listener.

`messages` builds calls, `frames.Splitter` turns received bytes into checked messages,
`listener.DisplayListener` turns those into replies and events. The sockets are in
`kju.sources.display1.source` (the listener's) and `kju.emulators.qemu.display.dbus` (the main
connection).
"""
