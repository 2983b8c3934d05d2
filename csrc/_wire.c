/* kju.wire._wire: encodes pixels as few bytes for the wire, and decodes them. */
#include "python.h"

#include <stdlib.h>

#include "pixels.h"

static PyObject *format_error;

/* (width, height, stride, pixel) of a picture in a buffer; -1 with ValueError. */
static int to_picture(PyObject *form, const Py_buffer *memory, struct kju_picture *p) {
    unsigned int width, height, pixel;
    unsigned long long stride;
    if (!PyArg_ParseTuple(form, "IIKI", &width, &height, &stride, &pixel))
        return -1;
    int fits = (pixel == 4 || pixel == 1) && width && height && width <= 65535 && height <= 65535 &&
               stride <= UINT32_MAX && stride >= (uint64_t)width * pixel &&
               stride * (height - 1) + (uint64_t)width * pixel <= (uint64_t)memory->len;
    if (!fits) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are no picture of this form: %R", memory->len, form);
        return -1;
    }
    *p = (struct kju_picture){memory->buf, (size_t)stride, width, height, pixel};
    return 0;
}

static int to_rect(PyObject *object, const struct kju_picture *p, struct kju_rect *r) {
    unsigned int x, y, width, height;
    PyObject *values = PySequence_Tuple(object);
    int ok = values && PyArg_ParseTuple(values, "IIII", &x, &y, &width, &height);
    Py_XDECREF(values);
    if (!ok)
        return -1;
    if (!width || !height || x > p->width || y > p->height || width > p->width - x ||
        height > p->height - y) {
        PyErr_Format(PyExc_ValueError, "a rectangle leaves the picture: %R", object);
        return -1;
    }
    *r = (struct kju_rect){x, y, width, height};
    return 0;
}

/* Return the rectangles of a sequence, which the caller frees; NULL with an error set. */
static struct kju_rect *to_rects(PyObject *object, const struct kju_picture *p, size_t *count) {
    PyObject *list = PySequence_List(object);
    if (!list)
        return NULL;
    *count = (size_t)PyList_Size(list);
    struct kju_rect *rects = calloc(*count ? *count : 1, sizeof *rects);
    for (size_t i = 0; rects && i < *count; i++)
        if (to_rect(PyList_GetItem(list, (Py_ssize_t)i), p, &rects[i])) {
            free(rects);
            Py_DECREF(list);
            return NULL;
        }
    Py_DECREF(list);
    if (!rects)
        PyErr_NoMemory();
    return rects;
}

static PyObject *from_rect(const struct kju_rect *r) {
    return Py_BuildValue("(IIII)", r->x, r->y, r->width, r->height);
}

/* Return a list of rectangles, and free them. */
static PyObject *from_rects(struct kju_rects *rects) {
    PyObject *list = rects->failed ? PyErr_NoMemory() : PyList_New((Py_ssize_t)rects->size);
    for (size_t i = 0; list && i < rects->size; i++) {
        PyObject *rect = from_rect(&rects->at[i]);
        if (!rect || PyList_SetItem(list, (Py_ssize_t)i, rect)) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    free(rects->at);
    return list;
}

/* Parse old, now, form and a last object. Both pictures have the same form. */
struct pair {
    Py_buffer old_memory, now_memory;
    struct kju_picture old, now;
};

static int open_pair(struct pair *pair, PyObject *old, PyObject *now, PyObject *form) {
    if (PyObject_GetBuffer(old, &pair->old_memory, PyBUF_SIMPLE))
        return -1;
    if (PyObject_GetBuffer(now, &pair->now_memory, PyBUF_SIMPLE)) {
        PyBuffer_Release(&pair->old_memory);
        return -1;
    }
    if (!to_picture(form, &pair->old_memory, &pair->old) &&
        !to_picture(form, &pair->now_memory, &pair->now))
        return 0;
    PyBuffer_Release(&pair->old_memory);
    PyBuffer_Release(&pair->now_memory);
    return -1;
}

static void close_pair(struct pair *pair) {
    PyBuffer_Release(&pair->old_memory);
    PyBuffer_Release(&pair->now_memory);
}

static PyObject *trim(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *old, *now, *form, *list, *result = NULL;
    struct pair pair;
    if (!PyArg_ParseTuple(args, "OOO!O", &old, &now, &PyTuple_Type, &form, &list) ||
        open_pair(&pair, old, now, form))
        return NULL;
    size_t count;
    struct kju_rect *rects = to_rects(list, &pair.now, &count);
    struct kju_rects out = {0};
    if (rects) {
        Py_BEGIN_ALLOW_THREADS
        kju_trim(&pair.old, &pair.now, rects, count, &out);
        Py_END_ALLOW_THREADS
        free(rects);
        result = from_rects(&out);
    }
    close_pair(&pair);
    return result;
}

static PyObject *find_move(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *old, *now, *form, *where, *result = NULL;
    struct pair pair;
    if (!PyArg_ParseTuple(args, "OOO!O", &old, &now, &PyTuple_Type, &form, &where) ||
        open_pair(&pair, old, now, form))
        return NULL;
    struct kju_rect rect, to;
    uint32_t x, y;
    if (!to_rect(where, &pair.now, &rect)) {
        int found;
        Py_BEGIN_ALLOW_THREADS
        found = kju_find_move(&pair.old, &pair.now, &rect, &to, &x, &y);
        Py_END_ALLOW_THREADS
        result = found ? Py_BuildValue("(NII)", from_rect(&to), x, y) : Py_NewRef(Py_None);
    }
    close_pair(&pair);
    return result;
}

static PyObject *move(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer memory;
    PyObject *form, *where, *result = NULL;
    unsigned int x, y;
    if (!PyArg_ParseTuple(args, "w*O!OII", &memory, &PyTuple_Type, &form, &where, &x, &y))
        return NULL;
    struct kju_picture p;
    struct kju_rect to;
    if (!to_picture(form, &memory, &p) && !to_rect(where, &p, &to)) {
        if (x > p.width - to.width || y > p.height - to.height) {
            PyErr_SetString(PyExc_ValueError, "what is copied leaves the picture");
        } else {
            kju_copy_within(&p, &to, x, y);
            result = Py_NewRef(Py_None);
        }
    }
    PyBuffer_Release(&memory);
    return result;
}

static PyObject *pack(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer memory;
    PyObject *form, *list, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*O!O", &memory, &PyTuple_Type, &form, &list))
        return NULL;
    struct kju_picture p;
    struct kju_rect *rects = NULL;
    size_t count;
    if (!to_picture(form, &memory, &p) && (rects = to_rects(list, &p, &count))) {
        struct kju_bytes out = {0};
        Py_BEGIN_ALLOW_THREADS
        kju_pack(&p, rects, count, &out);
        Py_END_ALLOW_THREADS
        result = out.failed ? PyErr_NoMemory()
                            : PyBytes_FromStringAndSize((char *)out.at, (Py_ssize_t)out.size);
        free(out.at);
        free(rects);
    }
    PyBuffer_Release(&memory);
    return result;
}

static PyObject *pack_move(PyObject *self, PyObject *args) {
    (void)self;
    unsigned int x, y;
    struct kju_rect to;
    if (!PyArg_ParseTuple(args, "(IIII)II", &to.x, &to.y, &to.width, &to.height, &x, &y))
        return NULL;
    struct kju_bytes out = {0};
    kju_pack_copy(&to, x, y, &out);
    PyObject *result = out.failed ? PyErr_NoMemory()
                                  : PyBytes_FromStringAndSize((char *)out.at, (Py_ssize_t)out.size);
    free(out.at);
    return result;
}

/* Raise FormatError: the block exceeds a limit of items or of drawing. */
static PyObject *too_much_work(size_t at, const struct kju_picture *p) {
    PyErr_Format(format_error,
                 "a block of pixels asks for too much work: at byte %zu its items are more than %d,"
                 " or cover the picture of %ux%u pixels more than %d times",
                 at, KJU_MAX_ITEMS, p->width, p->height, KJU_MAX_PASSES);
    return NULL;
}

/* Raise FormatError with what was found and the item's offset. */
static PyObject *bad_block(const uint8_t *bytes, size_t at, size_t size) {
    size_t shown = size - at < 8 ? size - at : 8;
    PyObject *found = PyBytes_FromStringAndSize((const char *)bytes + at, (Py_ssize_t)shown);
    PyObject *error = found ? PyObject_CallFunction(
                                  format_error, "NOs",
                                  PyUnicode_FromFormat("a block of pixels is wrong at byte %zu: %R",
                                                       at, found),
                                  found, "an item inside the picture")
                            : NULL;
    if (error)
        PyErr_SetObject(format_error, error);
    Py_XDECREF(error);
    Py_XDECREF(found);
    return NULL;
}

static PyObject *check(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer block;
    unsigned int width, height, pixel;
    if (!PyArg_ParseTuple(args, "y*(III)", &block, &width, &height, &pixel))
        return NULL;
    struct kju_picture p = {NULL, 0, width, height, pixel};
    struct kju_rects rects = {0};
    size_t at = 0;
    int found;
    Py_BEGIN_ALLOW_THREADS
    found = kju_check_block(block.buf, (size_t)block.len, &p, &rects, &at);
    Py_END_ALLOW_THREADS
    PyObject *result;
    if (found == KJU_OK) {
        result = from_rects(&rects);
    } else {
        free(rects.at);
        result = found == KJU_E_WORK ? too_much_work(at, &p)
                                     : bad_block(block.buf, at, (size_t)block.len);
    }
    PyBuffer_Release(&block);
    return result;
}

static PyObject *unpack(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer block, memory;
    PyObject *form, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*O!", &block, &memory, &PyTuple_Type, &form))
        return NULL;
    struct kju_picture p;
    if (!to_picture(form, &memory, &p)) {
        int drawn;
        Py_BEGIN_ALLOW_THREADS
        drawn = kju_unpack(block.buf, (size_t)block.len, &p);
        Py_END_ALLOW_THREADS
        result = drawn == KJU_OK ? Py_NewRef(Py_None) : PyErr_NoMemory();
    }
    PyBuffer_Release(&block);
    PyBuffer_Release(&memory);
    return result;
}

static PyMethodDef methods[] = {
    {"trim", trim, METH_VARARGS, NULL},
    {"find_move", find_move, METH_VARARGS, NULL},
    {"move", move, METH_VARARGS, NULL},
    {"pack", pack, METH_VARARGS, NULL},
    {"pack_move", pack_move, METH_VARARGS, NULL},
    {"check", check, METH_VARARGS, NULL},
    {"unpack", unpack, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "kju.wire._wire", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__wire(void) {
    PyObject *errors = PyImport_ImportModule("kju.errors");
    if (!errors)
        return NULL;
    format_error = PyObject_GetAttrString(errors, "FormatError");
    Py_DECREF(errors);
    PyObject *module = format_error ? PyModule_Create(&definition) : NULL;
    if (module && (PyModule_AddIntConstant(module, "MAX_ITEMS", KJU_MAX_ITEMS) ||
                   PyModule_AddIntConstant(module, "MAX_PASSES", KJU_MAX_PASSES))) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
