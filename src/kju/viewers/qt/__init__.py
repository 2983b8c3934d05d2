"""The Qt viewer: `widget` shows one screen, `window` is around it, `view` is `kju view`."""
