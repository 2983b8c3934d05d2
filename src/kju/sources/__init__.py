"""Sources: each fills the surface of one console. `base` has the contract."""
