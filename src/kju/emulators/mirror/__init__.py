"""The mirror of a machine that another computer serves."""
