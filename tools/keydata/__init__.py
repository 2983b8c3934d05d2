"""What tools/gen_keys.py is made of: packages as sources, the table of keys, the layouts."""
