"""The pages and the side panel in Qt: create, snapshots."""
