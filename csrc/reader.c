/* kju.surface._core.Reader: the consumer's side of one surface, over any readable buffer. */
#include "reader.h"

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *buffer;
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Reader takes one buffer");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:Reader", &buffer))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Reader *self = (Reader *)allocate(type, 0);
    if (!self)
        return NULL;
    if (PyObject_GetBuffer(buffer, &self->memory, PyBUF_SIMPLE)) {
        Py_DECREF(self);
        return NULL;
    }
    int result = (uintptr_t)self->memory.buf % 8
                     ? KJU_E_LAYOUT
                     : kju_check(self->memory.buf, (uint64_t)self->memory.len, &self->layout);
    if (result) {
        kju_raise_check(result, &self->memory);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void reader_dealloc(Reader *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyBuffer_Release(&self->memory);
    Py_XDECREF(self->named);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* A writer that was preempted within these few nanoseconds continues after some milliseconds. A
 * dead writer and hostile memory never do. */
enum { PATIENCE = 400, PATIENCE_NS = 100000 };

static void be_patient(void) {
    const struct timespec pause = {0, PATIENCE_NS};
    Py_BEGIN_ALLOW_THREADS
    nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
}

int kju_reader_mode(const Reader *self, struct kju_mode *mode) {
    int result = kju_read_mode(self->memory.buf, &self->layout, mode);
    for (int tries = 0; result == KJU_BUSY && tries < PATIENCE; tries++) {
        be_patient();
        result = kju_read_mode(self->memory.buf, &self->layout, mode);
    }
    if (!result)
        return 0;
    PyObject *found = kju_mode_tuple(mode);
    if (found)
        PyErr_Format(kju_format_error, result == KJU_BUSY
                         ? "the mode is half written and its producer does not finish it: %R"
                         : "the mode does not fit the surface: "
                           "found (width, height, stride, fourcc, epoch) %R",
                     found);
    Py_XDECREF(found);
    return -1;
}

static PyObject *reader_mode(Reader *self, PyObject *unused) {
    (void)unused;
    struct kju_mode mode;
    return kju_reader_mode(self, &mode) ? NULL : kju_mode_tuple(&mode);
}

/* Make an instance of a NamedTuple without its Python-level __new__: after a sleep, memory is no
 * longer in the caches, and each access costs microseconds. Steals the fields; a NULL field means
 * that an error is set. */
static PyObject *make_named(PyObject *type, int count, PyObject *const *fields) {
    PyObject *named = PyType_GenericAlloc((PyTypeObject *)type, count);
    for (int i = 0; i < count; i++) {
        if (named && fields[i])
            PyTuple_SetItem(named, i, fields[i]);
        else
            Py_XDECREF(fields[i]);
        if (!fields[i])
            Py_CLEAR(named);
    }
    return named;
}

static int append_rect(PyObject *list, const struct kju_rect *r) {
    PyObject *fields[] = {PyLong_FromLong(r->x), PyLong_FromLong(r->y), PyLong_FromLong(r->width),
                          PyLong_FromLong(r->height)};
    PyObject *rect = make_named(kju_rect_type, 4, fields);
    int result = rect ? PyList_Append(list, rect) : -1;
    Py_XDECREF(rect);
    return result;
}

/* The rectangles of a checked mode newer than `since`, as a list of Rect. */
static PyObject *newer_list(const Reader *self, const struct kju_mode *mode, uint64_t since) {
    size_t most = kju_most_rects(&self->layout, mode);
    struct kju_rect *rects = PyMem_Malloc(most * sizeof *rects + 1);
    uint32_t *starts = PyMem_Malloc(
        kju_tiles_across(mode->width, self->layout.tile_side) * sizeof *starts + 1);
    PyObject *list = rects && starts ? PyList_New(0) : PyErr_NoMemory();
    size_t count =
        list ? kju_newer_rects(self->memory.buf, &self->layout, mode, since, rects, starts) : 0;
    for (size_t i = 0; i < count; i++) {
        if (append_rect(list, &rects[i])) {
            Py_CLEAR(list);
            break;
        }
    }
    PyMem_Free(rects);
    PyMem_Free(starts);
    return list;
}

static PyObject *named_mode(Reader *self, const struct kju_mode *mode) {
    if (!self->named || memcmp(&self->mode, mode, sizeof *mode)) {
        PyObject *fields[] = {PyLong_FromLong(mode->width), PyLong_FromLong(mode->height),
                              PyLong_FromLong(mode->stride), PyLong_FromUnsignedLong(mode->fourcc),
                              PyLong_FromUnsignedLongLong(mode->epoch)};
        PyObject *named = make_named(kju_mode_type, 5, fields);
        if (!named)
            return NULL;
        Py_XDECREF(self->named);
        self->named = named;
        self->mode = *mode;
    }
    return Py_NewRef(self->named);
}

/* Return a Change; or None if the caller allows it and nothing changed. The version is read before
 * the tiles; the consumer commits this version. */
static PyObject *find_changes(Reader *self, uint64_t since, uint64_t epoch, int or_none) {
    struct kju_mode mode;
    uint64_t version = kju_version(self->memory.buf);
    if (kju_reader_mode(self, &mode))
        return NULL;
    int everything = mode.epoch != epoch;
    struct kju_rect whole = {0, 0, mode.width, mode.height};
    PyObject *rects;
    if (mode.epoch && !everything && version != since) {
        rects = newer_list(self, &mode, since);
    } else {
        /* Tiles may be newer than an unchanged version: the producer is publishing them, or was
         * killed while it did. Then a consumer that took them would take them again for ever. */
        rects = PyList_New(0);
        if (rects && everything && mode.epoch && append_rect(rects, &whole))
            Py_CLEAR(rects);
    }
    if (or_none && rects && !PyList_Size(rects)) {
        Py_DECREF(rects);
        Py_RETURN_NONE;
    }
    PyObject *mark[] = {PyLong_FromUnsignedLongLong(self->layout.incarnation),
                        PyLong_FromUnsignedLongLong(mode.epoch),
                        PyLong_FromUnsignedLongLong(version)};
    PyObject *change[] = {make_named(kju_mark_type, 3, mark), named_mode(self, &mode), rects,
                          PyBool_FromLong(everything)};
    return make_named(kju_change_type, 4, change);
}

/* changes(since, epoch) -> Change */
static PyObject *reader_changes(Reader *self, PyObject *args) {
    unsigned long long since, epoch;
    if (!PyArg_ParseTuple(args, "KK", &since, &epoch))
        return NULL;
    return find_changes(self, since, epoch, 0);
}

/* live() -> (number, offset, stride, epoch) of the live window; number 0: none. */
static PyObject *reader_live(Reader *self, PyObject *unused) {
    (void)unused;
    struct kju_mode mode;
    struct kju_live live;
    if (kju_reader_mode(self, &mode) || kju_read_live(self->memory.buf, &self->layout, &mode, &live))
        return PyErr_Occurred() ? NULL : Py_BuildValue("(IKIK)", 0, 0ULL, 0, 0ULL);
    return Py_BuildValue("(IKIK)", live.number, (unsigned long long)live.offset, live.stride,
                         (unsigned long long)mode.epoch);
}

struct seen { /* the values known to a waiter; a change of one of them wakes it */
    unsigned long long version;
    long long cursor; /* -1: ignored */
    unsigned int state;
};

static int has_moved(const struct kju_header *h, const struct seen *seen) {
    return kju_version(h) != seen->version || atomic_load(&h->state) != seen->state ||
           (seen->cursor >= 0 && (long long)atomic_load(&h->cursor_version) != seen->cursor);
}

/* Sleep until one of them changes, at most the capped time; -1 with the error of a signal. */
static int sleep_until_moved(const Reader *self, const struct seen *seen, int timeout_ms) {
    const struct kju_header *h = self->memory.buf;
    uint32_t pulse = kju_pulse(h);
    if (has_moved(h, seen))
        return 1;
    if (timeout_ms <= 0)
        return 0;
    Py_BEGIN_ALLOW_THREADS
    kju_wait(h, pulse, timeout_ms);
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals() ? -1 : has_moved(h, seen);
}

/* wait(version, cursor_version, state, timeout_ms) -> whether one of them changed */
static PyObject *reader_wait(Reader *self, PyObject *args) {
    struct seen seen;
    int timeout;
    if (!PyArg_ParseTuple(args, "KLIi", &seen.version, &seen.cursor, &seen.state, &timeout))
        return NULL;
    int moved = sleep_until_moved(self, &seen, timeout);
    return moved < 0 ? NULL : PyBool_FromLong(moved);
}

/* wait_changes(since, epoch, version, state, timeout_ms) -> Change, or None if nothing
 * changed after `since`: one call that waits and returns the change, for the lowest latency. It
 * also ends when the version or the state is another. */
static PyObject *reader_wait_changes(Reader *self, PyObject *const *args, Py_ssize_t count) {
    unsigned long long number[5];
    if (count != 5) {
        PyErr_Format(PyExc_TypeError, "wait_changes takes 5 arguments, not %zd", count);
        return NULL;
    }
    for (int i = 0; i < 5; i++) {
        number[i] = PyLong_AsUnsignedLongLongMask(args[i]);
        if (PyErr_Occurred())
            return NULL;
    }
    uint64_t since = number[0], epoch = number[1];
    struct seen seen = {.version = number[2], .cursor = -1, .state = (unsigned int)number[3]};
    int timeout = number[4] > KJU_WAIT_CAP_MS ? KJU_WAIT_CAP_MS : (int)number[4];
    int moved = sleep_until_moved(self, &seen, timeout);
    if (moved < 0)
        return NULL;
    if (!moved)
        Py_RETURN_NONE;
    return find_changes(self, since, epoch, 1);
}

/* state() -> (state, reason): the number is unchecked and may be unknown. */
static PyObject *reader_state(Reader *self, PyObject *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    char reason[KJU_REASON_SIZE];
    uint32_t before, state;
    int tries = 0;
    do {
        before = atomic_load(&h->mode_sequence);
        state = atomic_load(&h->state);
        for (size_t i = 0; i < sizeof reason; i++)
            reason[i] = (char)atomic_load(&h->reason[i]);
    } while (((before & 1) || before != atomic_load(&h->mode_sequence)) && ++tries < 1000);
    reason[sizeof reason - 1] = 0;
    PyObject *text = PyUnicode_DecodeUTF8(reason, (Py_ssize_t)strlen(reason), "replace");
    return text ? Py_BuildValue("(IN)", state, text) : NULL;
}

/* cursor() -> (version, visible, x, y, hot_x, hot_y, width, height, argb bytes). */
static PyObject *reader_cursor(Reader *self, PyObject *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    const uint8_t *shape = (const uint8_t *)self->memory.buf + self->layout.cursor_offset;
    for (int tries = 0; tries < PATIENCE; tries++) {
        uint32_t before = atomic_load(&h->cursor_sequence);
        if (before & 1) {
            be_patient();
            continue;
        }
        unsigned long long version = atomic_load(&h->cursor_version);
        int x = atomic_load(&h->cursor_x), y = atomic_load(&h->cursor_y);
        uint32_t visible = atomic_load(&h->cursor_visible);
        uint32_t width = atomic_load(&h->cursor_width), height = atomic_load(&h->cursor_height);
        uint32_t hot_x = atomic_load(&h->cursor_hot_x), hot_y = atomic_load(&h->cursor_hot_y);
        int fits = width <= KJU_CURSOR_SIDE && height <= KJU_CURSOR_SIDE &&
                   (uint64_t)width * height * 4 <= self->layout.cursor_capacity;
        size_t bytes = fits ? (size_t)width * height * 4 : 0;
        char *copy = PyMem_Malloc(bytes + 1);
        if (!copy)
            return PyErr_NoMemory();
        kju_copy_pixels(copy, shape, bytes);
        atomic_thread_fence(memory_order_acquire);
        if (before == atomic_load(&h->cursor_sequence)) {
            PyObject *result = !fits ? NULL : Py_BuildValue("(KIiiIIIIy#)", version, visible, x, y, hot_x, hot_y,
                                             width, height, copy, (Py_ssize_t)bytes);
            PyMem_Free(copy);
            if (!fits)
                break; /* hostile: a shape that was written consistently is too large */
            return result;
        }
        PyMem_Free(copy);
    }
    PyErr_SetString(kju_format_error, "the cursor is half written, or larger than a cursor can be");
    return NULL;
}

/* tile_versions() -> bytes: little-endian 64-bit versions of the mode's tiles, row by row. */
static PyObject *reader_tile_versions(Reader *self, PyObject *unused) {
    (void)unused;
    struct kju_mode mode;
    if (kju_reader_mode(self, &mode))
        return NULL;
    uint64_t count = mode.epoch ? (uint64_t)kju_tiles_across(mode.width, self->layout.tile_side) *
                                      kju_tiles_across(mode.height, self->layout.tile_side)
                                : 0;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count * 8);
    if (!bytes)
        return NULL;
    char *to = PyBytes_AsString(bytes);
    const _Atomic uint64_t *tiles = kju_tiles(self->memory.buf, &self->layout);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t version = atomic_load_explicit(&tiles[i], memory_order_relaxed);
        memcpy(to + 8 * i, &version, 8);
    }
    return bytes;
}

static PyObject *get_version(Reader *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(kju_version(self->memory.buf));
}
static PyObject *get_pulse(Reader *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(kju_pulse(self->memory.buf));
}
static PyObject *get_epoch(Reader *self, void *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    return PyLong_FromUnsignedLongLong(atomic_load(&h->epoch));
}
static PyObject *get_live_number(Reader *self, void *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    return PyLong_FromUnsignedLong(atomic_load(&h->live_number));
}
static PyObject *get_cursor_version(Reader *self, void *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    return PyLong_FromUnsignedLongLong(atomic_load(&h->cursor_version));
}
static PyObject *get_state(Reader *self, void *unused) {
    (void)unused;
    const struct kju_header *h = self->memory.buf;
    return PyLong_FromUnsignedLong(atomic_load(&h->state));
}
/* A constant of the checked layout, at `offset`. */
static PyObject *get_u64(Reader *self, void *offset) {
    uint64_t value;
    memcpy(&value, (const char *)&self->layout + (size_t)(uintptr_t)offset, 8);
    return PyLong_FromUnsignedLongLong(value);
}
static PyObject *get_u32(Reader *self, void *offset) {
    uint32_t value;
    memcpy(&value, (const char *)&self->layout + (size_t)(uintptr_t)offset, 4);
    return PyLong_FromUnsignedLong(value);
}

#define AT(field) (void *)offsetof(struct kju_layout, field)
static PyGetSetDef reader_getset[] = {
    {"version", (getter)get_version, NULL, "Newest published version.", NULL},
    {"pulse", (getter)get_pulse, NULL, "The futex word.", NULL},
    {"epoch", (getter)get_epoch, NULL, "Number of the mode; 0 is no mode yet.", NULL},
    {"live_number", (getter)get_live_number, NULL, "Of the live window; 0 is none.", NULL},
    {"cursor_version", (getter)get_cursor_version, NULL, "Version of the cursor.", NULL},
    {"state_code", (getter)get_state, NULL, "The state as a number.", NULL},
    {"incarnation", (getter)get_u64, NULL, "Random number of the producer's life.",
     AT(incarnation)},
    {"size", (getter)get_u64, NULL, "Bytes of the whole surface.", AT(size)},
    {"pixels_offset", (getter)get_u64, NULL, "Bytes to the pixels.", AT(pixels_offset)},
    {"pixels_capacity", (getter)get_u64, NULL, "Bytes of pixels.", AT(pixels_capacity)},
    {"producer_start", (getter)get_u64, NULL, "Clock ticks since boot.", AT(producer_start)},
    {"producer_namespace", (getter)get_u64, NULL, "Inode of the pid namespace.",
     AT(producer_namespace)},
    {"producer_pid", (getter)get_u32, NULL, "Process id, a hint.", AT(producer_pid)},
    {"producer_locks", (getter)get_u32, NULL, "Whether it holds a record lock on the file.",
     AT(producer_locks)},
    {"tile_side", (getter)get_u32, NULL, "Pixels.", AT(tile_side)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef reader_methods[] = {
    {"mode", (PyCFunction)reader_mode, METH_NOARGS, "(width, height, stride, fourcc, epoch)"},
    {"changes", (PyCFunction)reader_changes, METH_VARARGS,
     "changes(since, epoch) -> Change"},
    {"copy", (PyCFunction)kju_reader_copy, METH_VARARGS,
     "copy(out, epoch, rect, format, exact, window=None) -> version, -1 mode changed, "
     "-2 not exact, -3 no live window there"},
    {"thumbnail", (PyCFunction)kju_reader_thumbnail, METH_VARARGS,
     "thumbnail(out, width, height, epoch, part) -> version, -1 mode changed"},
    {"live", (PyCFunction)reader_live, METH_NOARGS, "(number, offset, stride, epoch)"},
    {"wait", (PyCFunction)reader_wait, METH_VARARGS,
     "wait(version, cursor_version, state, timeout_ms) -> whether one of them moved"},
    {"wait_changes", (PyCFunction)(void (*)(void))reader_wait_changes, METH_FASTCALL,
     "wait_changes(since, epoch, version, state, timeout_ms) -> Change or None"},
    {"state", (PyCFunction)reader_state, METH_NOARGS, "(state, reason)"},
    {"cursor", (PyCFunction)reader_cursor, METH_NOARGS,
     "(version, visible, x, y, hot_x, hot_y, width, height, argb)"},
    {"tile_versions", (PyCFunction)reader_tile_versions, METH_NOARGS,
     "64-bit versions of the tiles, row by row"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_new, reader_new},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, reader_getset},
    {Py_tp_doc, "Reader(buffer): the consumer's side of one surface."},
    {0, NULL},
};

PyType_Spec kju_reader_spec = {
    "kju.surface._core.Reader", sizeof(Reader), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    reader_slots,
};
