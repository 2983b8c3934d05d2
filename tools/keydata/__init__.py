"""Parts of tools/gen_keys.py: packages as sources, the table of keys, the layouts."""
