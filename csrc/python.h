/* Shared by the files that use Python: errors, arguments, buffers. */
#ifndef KJU_PYTHON_H
#define KJU_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "damage.h"

extern PyObject *kju_geometry_error, *kju_format_error;
/* kju's NamedTuples, given by kju.surface when it is imported. */
extern PyObject *kju_rect_type, *kju_mode_type, *kju_mark_type, *kju_change_type;
extern PyType_Spec kju_reader_spec, kju_writer_spec, kju_pool_spec;

/* A copy below this size takes less than a switch of threads may cost (5 ms when another thread
 * computes), so the interpreter's lock is kept. */
enum { KEEP_GIL_BYTES = 64 * 1024 };

/* Raise the error for a result below zero; always returns NULL. */
PyObject *kju_raise(int result);
/* Raise FormatError for a result of kju_check; always returns NULL. */
PyObject *kju_raise_check(int result, const Py_buffer *memory);
/* (x, y, width, height) of Python ints into a rectangle; -1 with an error set. */
int kju_parse_rect(PyObject *object, struct kju_rect *rect);
/* Make the type of the pool's blocks; -1 with an error set. */
int kju_prepare_pool(void);
PyObject *kju_mode_tuple(const struct kju_mode *mode);
/* Converters for "O&": GeometryError for numbers that do not fit, which "I" and "K" would
 * truncate silently. */
int kju_parse_u32(PyObject *object, void *value);
int kju_parse_i32(PyObject *object, void *value);
int kju_parse_u64(PyObject *object, void *value);

#endif
