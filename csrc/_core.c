/* kju.surface._core: surfaces over buffers. Descriptors, clocks and event loops are elsewhere. */
#include "python.h"
#include "thumbnail.h"

PyObject *kju_geometry_error, *kju_format_error;
PyObject *kju_rect_type, *kju_mode_type, *kju_mark_type, *kju_change_type;

PyObject *kju_raise(int result) {
    switch (result) {
    case -ENOMEM:
        return PyErr_NoMemory();
    case KJU_E_MODE:
        PyErr_SetString(kju_geometry_error,
                        "the mode does not fit the surface: width, height, stride or format is "
                        "out of range, or it needs more pixels than the surface's capacity");
        break;
    case KJU_E_RECT:
        PyErr_SetString(kju_geometry_error,
                        "a rectangle or source lies outside: it leaves the mode, its format does "
                        "not match, or its bytes are fewer than stride x height");
        break;
    case KJU_E_CURSOR:
        PyErr_Format(kju_geometry_error, "a cursor is at most %u x %u pixels of 4 bytes",
                     KJU_CURSOR_SIDE, KJU_CURSOR_SIDE);
        break;
    default:
        PyErr_SetString(kju_geometry_error,
                        "the layout is impossible: the tile side is a power of two from 8 to 256, "
                        "sides are 1 to 65535, the capacity is above zero");
    }
    return NULL;
}

PyObject *kju_raise_check(int result, const Py_buffer *memory) {
    static const struct {
        int result;
        const char *what, *expected;
        Py_ssize_t offset, bytes;
    } table[] = {
        {KJU_E_SHORT, "the memory ends before the surface does", "at least `size` bytes", 24, 8},
        {KJU_E_MAGIC, "this is not a kju surface", "b'kju-surf'", 0, 8},
        {KJU_E_FORMAT, "the surface has another version of the format", "1", 8, 4},
        {KJU_E_FEATURES, "the surface uses features this kju does not know", "0", 12, 4},
        {KJU_E_LAYOUT, "the surface's parts overlap or leave its memory",
         "parts in order within `size`", 24, 64},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].result != result)
            continue;
        Py_ssize_t at = table[i].offset, left = memory->len > at ? memory->len - at : 0;
        PyObject *found = PyBytes_FromStringAndSize(
            (const char *)memory->buf + (left ? at : 0),
            left < table[i].bytes ? left : table[i].bytes);
        PyObject *error = found ? PyObject_CallFunction(
                                      kju_format_error, "NOs",
                                      PyUnicode_FromFormat("%s: found %R in %zd bytes, expected %s",
                                                           table[i].what, found, memory->len,
                                                           table[i].expected),
                                      found, table[i].expected)
                                : NULL;
        if (error)
            PyErr_SetObject(kju_format_error, error);
        Py_XDECREF(error);
        Py_XDECREF(found);
        return NULL;
    }
    return kju_raise(result);
}

/* An integer from `least` to `most`; -1 with an error set for everything else. */
static int parse_integer(PyObject *object, long long least, unsigned long long most,
                         unsigned long long *value) {
    int overflow;
    PyObject *index = PyNumber_Index(object);
    if (!index)
        return -1;
    long long number = PyLong_AsLongLongAndOverflow(index, &overflow);
    *value = (unsigned long long)number;
    if (overflow > 0) {
        *value = PyLong_AsUnsignedLongLong(index);
        overflow = *value == (unsigned long long)-1 && PyErr_Occurred() ? 1 : *value > most;
        PyErr_Clear();
    } else if (!overflow) {
        overflow = number < least || (number > 0 && *value > most);
    }
    Py_DECREF(index);
    if (overflow)
        PyErr_Format(kju_geometry_error, "%R is out of range: %lld to %llu", object, least, most);
    return overflow ? -1 : 0;
}

int kju_parse_u32(PyObject *object, void *value) {
    unsigned long long number = 0;
    int result = parse_integer(object, 0, UINT32_MAX, &number);
    *(uint32_t *)value = (uint32_t)number;
    return !result;
}

int kju_parse_i32(PyObject *object, void *value) {
    unsigned long long number = 0;
    int result = parse_integer(object, INT32_MIN, INT32_MAX, &number);
    *(int32_t *)value = (int32_t)number;
    return !result;
}

int kju_parse_u64(PyObject *object, void *value) {
    unsigned long long number = 0;
    int result = parse_integer(object, 0, UINT64_MAX, &number);
    *(unsigned long long *)value = number;
    return !result;
}

int kju_parse_rect(PyObject *object, struct kju_rect *rect) {
    uint32_t values[4];
    if (!PyTuple_Check(object) || PyTuple_Size(object) != 4) {
        PyErr_Format(PyExc_TypeError, "expected a Rect (x, y, width, height), not %R", object);
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        unsigned long long value;
        if (parse_integer(PyTuple_GetItem(object, i), 0, UINT32_MAX, &value)) {
            if (PyErr_ExceptionMatches(kju_geometry_error))
                PyErr_Format(kju_geometry_error, "%R lies outside every surface", object);
            return -1;
        }
        values[i] = (uint32_t)value;
    }
    *rect = (struct kju_rect){values[0], values[1], values[2], values[3]};
    return 0;
}

PyObject *kju_mode_tuple(const struct kju_mode *m) {
    return Py_BuildValue("(IIIIK)", m->width, m->height, m->stride, m->fourcc,
                         (unsigned long long)m->epoch);
}

/* ---- Functions ---- */

static PyObject *plan(PyObject *self, PyObject *args) {
    (void)self;
    unsigned long long capacity;
    unsigned int tile, width, height;
    struct kju_layout layout;
    if (!PyArg_ParseTuple(args, "O&O&O&O&", kju_parse_u64, &capacity, kju_parse_u32, &tile,
                          kju_parse_u32, &width, kju_parse_u32, &height))
        return NULL;
    int result = kju_plan(&layout, capacity, tile, width, height);
    return result ? kju_raise(result) : PyLong_FromUnsignedLongLong(layout.size);
}

static PyObject *format_surface(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer memory;
    unsigned long long capacity, incarnation, start, namespace_;
    unsigned int tile, width, height, pid, locks;
    struct kju_layout layout;
    if (!PyArg_ParseTuple(args, "w*O&O&O&O&KIKKI", &memory, kju_parse_u64, &capacity,
                          kju_parse_u32, &tile, kju_parse_u32, &width, kju_parse_u32, &height,
                          &incarnation, &pid, &start, &namespace_, &locks))
        return NULL;
    int result = kju_plan(&layout, capacity, tile, width, height);
    if (!result && (layout.size > (uint64_t)memory.len || (uintptr_t)memory.buf % 8))
        result = KJU_E_SHORT;
    if (!result) {
        layout.incarnation = incarnation;
        layout.producer_pid = pid;
        layout.producer_start = start;
        layout.producer_namespace = namespace_;
        layout.producer_locks = locks;
        kju_format(memory.buf, &layout);
    }
    if (result == KJU_E_SHORT)
        PyErr_Format(kju_geometry_error,
                     "the surface needs %llu bytes of 8-byte aligned memory, there are %zd",
                     (unsigned long long)layout.size, memory.len);
    else if (result)
        kju_raise(result);
    PyBuffer_Release(&memory);
    if (result)
        return NULL;
    Py_RETURN_NONE;
}

/* The picture in a buffer: (height, width, 4) or (height, width) bytes, each row in one piece.
 * Returns its bytes per pixel; 0 for another shape. */
static uint32_t picture_of(const Py_buffer *b, uint32_t *width, uint32_t *height, uint64_t *stride) {
    Py_ssize_t bytes = b->ndim == 3 ? b->shape[2] : 1;
    if (b->itemsize != 1 || b->ndim < 2 || b->ndim > 3 || (b->ndim == 3 && bytes != 4) ||
        b->shape[0] > (Py_ssize_t)KJU_MAX_SIDE || b->shape[1] > (Py_ssize_t)KJU_MAX_SIDE ||
        b->strides[b->ndim - 1] != 1 || b->strides[1] != bytes ||
        b->strides[0] < b->shape[1] * bytes)
        return 0;
    *height = (uint32_t)b->shape[0];
    *width = (uint32_t)b->shape[1];
    *stride = (uint64_t)b->strides[0];
    return (uint32_t)bytes;
}

/* thumbnail(picture, out, part): both are arrays of one kind; the rows of `out` are not padded. */
static PyObject *thumbnail(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *picture, *target, *part, *result = NULL;
    Py_buffer from, out;
    uint64_t stride = 0;
    struct kju_thumbnail t = {0};
    if (!PyArg_ParseTuple(args, "OOO", &picture, &target, &part) ||
        kju_parse_rect(part, &t.part) || PyObject_GetBuffer(picture, &from, PyBUF_STRIDES))
        return NULL;
    if (PyObject_GetBuffer(target, &out, PyBUF_STRIDES | PyBUF_WRITABLE)) {
        PyBuffer_Release(&from);
        return NULL;
    }
    t.bytes = picture_of(&from, &t.width, &t.height, &t.stride);
    int made = KJU_E_RECT;
    if (t.bytes && picture_of(&out, &t.to_width, &t.to_height, &stride) == t.bytes &&
        stride == (uint64_t)t.to_width * t.bytes && t.width && t.height) {
        t.from = from.buf;
        t.from_size = t.stride * (t.height - 1) + (uint64_t)t.width * t.bytes;
        t.to = out.buf;
        t.to_size = (uint64_t)out.len;
        Py_BEGIN_ALLOW_THREADS
        made = kju_make_thumbnail(&t);
        Py_END_ALLOW_THREADS
    }
    result = made ? kju_raise(made) : Py_NewRef(Py_None);
    PyBuffer_Release(&out);
    PyBuffer_Release(&from);
    return result;
}

static PyObject *set_types(PyObject *self, PyObject *args) {
    (void)self;
    PyObject **homes[] = {&kju_rect_type, &kju_mode_type, &kju_mark_type, &kju_change_type};
    if (PyTuple_Size(args) != 4)
        return PyErr_Format(PyExc_TypeError, "expected Rect, Mode, Mark, Change");
    for (Py_ssize_t i = 0; i < 4; i++) {
        PyObject *type = PyTuple_GetItem(args, i), *old = *homes[i];
        if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type))
            return PyErr_Format(PyExc_TypeError, "%R is no kind of tuple", type);
        Py_INCREF(type);
        *homes[i] = type;
        Py_XDECREF(old);
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_types", set_types, METH_VARARGS, "set_types(Rect, Mode, Mark, Change)"},
    {"thumbnail", thumbnail, METH_VARARGS,
     "thumbnail(picture, out, part): make the picture smaller by averaging areas"},
    {"plan", plan, METH_VARARGS, "plan(capacity, tile, max_width, max_height) -> total bytes"},
    {"format_surface", format_surface, METH_VARARGS,
     "format_surface(buffer, capacity, tile, max_width, max_height, incarnation, pid, start, "
     "namespace, locks): write a fresh header into zeroed memory"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "kju.surface._core", "Surfaces over buffers.", -1, functions, NULL, NULL, NULL,
    NULL,
};

static int add_type(PyObject *m, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromSpec(spec);
    return type ? PyModule_AddObjectRef(m, name, type) : -1;
}

PyMODINIT_FUNC PyInit__core(void) {
    PyObject *errors = PyImport_ImportModule("kju.errors");
    PyObject *m = errors ? PyModule_Create(&module) : NULL;
    if (!m)
        return NULL;
    kju_geometry_error = PyObject_GetAttrString(errors, "GeometryError");
    kju_format_error = PyObject_GetAttrString(errors, "FormatError");
    Py_DECREF(errors);
    if (!kju_geometry_error || !kju_format_error || add_type(m, &kju_reader_spec, "Reader") ||
        add_type(m, &kju_writer_spec, "Writer") || kju_prepare_pool() ||
        add_type(m, &kju_pool_spec, "Pool") ||
        PyModule_AddIntConstant(m, "WAIT_CAP_MS", KJU_WAIT_CAP_MS) ||
        PyModule_AddIntConstant(m, "CURSOR_SIDE", KJU_CURSOR_SIDE)) {
        Py_DECREF(m);
        return NULL;
    }
    return m;
}
