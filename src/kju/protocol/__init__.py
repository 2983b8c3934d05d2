"""The control protocol between a client and a host: messages, frames, launch options. Core."""
