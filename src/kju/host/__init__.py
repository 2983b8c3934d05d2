"""SHELL: one process per machine. It owns QEMU, fills the surfaces, answers clients.

    spec, options, arguments, image, protocol   I/O-free
    runtime     the folder of a machine: names, locks, sweeping up after the killed
    qemu        finding a QEMU and asking what it can do; probe: whether KVM really runs
    process     QEMU as a child; qmp: talking to it; display: its D-Bus side
    console     one console: its memory, its surface, the source that fills it
    control     the control socket; machine: everything together; __main__: the process

Nothing is imported here: a client that only attaches must not pay for all this.
"""
