"""SHELL: one process per machine. It owns QEMU, fills the surfaces, answers clients.

    options, arguments, image, messages, protocol   I/O-free
    runtime     the folder of a machine: names, locks, sweeping up after the killed
    logs        logs that stay small; kept: those of machines that did not end well
    qemu        finding a QEMU and asking what it can do; probe: whether KVM really runs
    launch      everything decided before anything runs
    process     children that never outlive us; output: what QEMU prints
    emulator    QEMU as a child, from start to end; qmp: talking to it
    console     one console: its memory, its surface, the source that fills it
    display     all of them, and the D-Bus connection (dbus) they come through
    control     the control socket; requests: what clients ask for
    machine     everything together, from start to end; __main__: the process

Nothing is imported here: a client that only attaches must not pay for all this.
"""
