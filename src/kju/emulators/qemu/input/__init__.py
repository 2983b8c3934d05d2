"""Input for a QEMU guest: events of QMP, and how full the guest's keyboard queue is."""
