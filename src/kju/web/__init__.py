"""Serves machines to browsers, over HTTP and WebSocket.

`messages` has the messages of a WebSocket; the page's half is in `web/` of the source tree.
"""
