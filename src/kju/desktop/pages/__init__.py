"""The pages and the side panel without a toolkit: create, snapshots, details, events, log."""
