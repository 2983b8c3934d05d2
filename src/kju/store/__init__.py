"""Machines on disk: runtime folders, definitions, images, logs. Clients and hosts share this."""
