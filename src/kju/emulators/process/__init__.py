"""Child processes of a host: `spawn` starts them, `child` ends them, `output` logs them."""
