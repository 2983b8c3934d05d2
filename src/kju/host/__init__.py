"""SHELL: the process of one machine. It owns the emulator, publishes surfaces, serves clients.

| module | holds |
|---|---|
| ``__main__`` | the process: launch request in, exit status out |
| ``machine`` | one machine from start to end |
| ``control`` | the control socket and its clients |
| ``requests`` | the table of requests: handlers and roles |
| ``dry_run`` | reports the commands of a launch, and starts nothing |

Nothing is imported here: a client that only attaches must not load all this.
"""
