/* The object behind kju.surface._core.Reader: reader.c has the type, reader_copy.c the copies. */
#ifndef KJU_READER_H
#define KJU_READER_H

#include "python.h"

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    struct kju_layout layout;
    struct kju_mode mode; /* of `named`: the Mode that was last returned */
    PyObject *named;
} Reader;

/* The mode, or -1 with an error set. */
int kju_reader_mode(const Reader *self, struct kju_mode *mode);

PyObject *kju_reader_copy(Reader *self, PyObject *args);
PyObject *kju_reader_thumbnail(Reader *self, PyObject *args);

#endif
