/* The object behind kju.surface._core.Writer: writer.c has the type, writer_scan.c the scans. */
#ifndef KJU_WRITER_H
#define KJU_WRITER_H

#include "python.h"
#include "scan.h"

#include <pythread.h>

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    struct kju_writer w;
    PyThread_type_lock lock; /* one publication at a time, from any thread */
    PyThread_type_lock gate; /* closed while the pixels must not change */
    int held;
    struct kju_scan scan;
    _Atomic uint32_t interrupted; /* request to `scan_until` to return; a futex word */
    uint32_t windows; /* live windows so far */
} Writer;

/* Take the lock of publications. */
void kju_writer_acquire(Writer *self);
/* The same before a change of the pixels: wait until the gate is open. */
void kju_writer_acquire_pixels(Writer *self);
/* Fill in a source from the caller's arguments; `stride` 0: rows without padding; no format: the
 * surface's. */
int kju_fill_source(struct kju_source *s, const Py_buffer *buffer, unsigned long long offset,
                    unsigned long long stride, const char *format, uint32_t fourcc, uint32_t width);

PyObject *kju_writer_set_scan_pace(Writer *self, PyObject *args);
PyObject *kju_writer_note_input(Writer *self, PyObject *now);
PyObject *kju_writer_scan(Writer *self, PyObject *args);
PyObject *kju_writer_scan_until(Writer *self, PyObject *args);
PyObject *kju_writer_interrupt(Writer *self, PyObject *unused);

#endif
