/* kju.surface._core.Writer: the producer's side of one surface, over any writable buffer. */
#include "writer.h"

static PyObject *writer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *buffer;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O:Writer", &buffer))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Writer *self = (Writer *)allocate(type, 0);
    if (!self)
        return NULL;
    self->lock = PyThread_allocate_lock();
    self->gate = PyThread_allocate_lock();
    if (!self->lock || !self->gate ||
        PyObject_GetBuffer(buffer, &self->memory, PyBUF_WRITABLE)) {
        if (!self->lock || !self->gate)
            PyErr_NoMemory();
        Py_DECREF(self);
        return NULL;
    }
    self->w.memory = self->memory.buf;
    int result = (uintptr_t)self->memory.buf % 8
                     ? KJU_E_LAYOUT
                     : kju_check(self->memory.buf, (uint64_t)self->memory.len, &self->w.layout);
    if (result) {
        kju_raise_check(result, &self->memory);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void writer_dealloc(Writer *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyBuffer_Release(&self->memory);
    kju_scan_free(&self->scan);
    if (self->lock)
        PyThread_free_lock(self->lock);
    if (self->gate) {
        if (self->held)
            PyThread_release_lock(self->gate);
        PyThread_free_lock(self->gate);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Take a lock; release the interpreter's lock only if another thread holds it. */
static void take(PyThread_type_lock lock) {
    if (PyThread_acquire_lock(lock, NOWAIT_LOCK))
        return;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(lock, WAIT_LOCK);
    Py_END_ALLOW_THREADS
}

void kju_writer_acquire(Writer *self) { take(self->lock); }

void kju_writer_acquire_pixels(Writer *self) {
    take(self->gate);
    take(self->lock);
    PyThread_release_lock(self->gate);
}

static PyObject *finish(Writer *self, int result) {
    uint64_t version = kju_version(self->w.memory);
    PyThread_release_lock(self->lock);
    return result ? kju_raise(result) : PyLong_FromUnsignedLongLong(version);
}

int kju_fill_source(struct kju_source *s, const Py_buffer *buffer, unsigned long long offset,
                    unsigned long long stride, const char *format, uint32_t fourcc, uint32_t width) {
    s->format = kju_find_in(*format ? format : fourcc == KJU_R8 ? "r8" : "xrgb8888");
    if (!s->format) {
        PyErr_Format(kju_format_error, "no converter for source format %s", format);
        return -1;
    }
    s->bytes = buffer->buf;
    s->size = (size_t)buffer->len;
    s->offset = offset;
    s->stride = stride ? stride : (uint64_t)width * s->format->bytes;
    return 0;
}

/* set_mode(width, height, fourcc, source, offset, stride, format) -> version */
static PyObject *writer_set_mode(Writer *self, PyObject *args) {
    struct kju_mode mode = {0};
    Py_buffer buffer = {0};
    unsigned long long offset, stride;
    const char *format;
    struct kju_source source;
    int result;
    if (!PyArg_ParseTuple(args, "O&O&O&z*O&O&s", kju_parse_u32, &mode.width, kju_parse_u32,
                          &mode.height, kju_parse_u32, &mode.fourcc, &buffer, kju_parse_u64,
                          &offset, kju_parse_u64, &stride, &format))
        return NULL;
    uint64_t row = (uint64_t)mode.width * kju_bytes_per_pixel(mode.fourcc);
    mode.stride = row <= UINT32_MAX ? (uint32_t)row : 0;
    if (buffer.obj &&
        kju_fill_source(&source, &buffer, offset, stride, format, mode.fourcc, mode.width)) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    kju_writer_acquire_pixels(self);
    Py_BEGIN_ALLOW_THREADS
    result = kju_writer_mode(&self->w, mode, buffer.obj ? &source : NULL);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffer);
    return finish(self, result);
}

/* draw(rect, source, offset, stride, format) -> version */
static PyObject *writer_draw(Writer *self, PyObject *args) {
    Py_buffer buffer;
    PyObject *object;
    unsigned long long offset, stride;
    const char *format;
    struct kju_rect rect;
    struct kju_source source;
    int result;
    if (!PyArg_ParseTuple(args, "Oy*O&O&s", &object, &buffer, kju_parse_u64, &offset,
                          kju_parse_u64, &stride, &format))
        return NULL;
    if (kju_parse_rect(object, &rect) ||
        kju_fill_source(&source, &buffer, offset, stride, format, self->w.mode.fourcc, rect.width)) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    kju_writer_acquire_pixels(self);
    if ((uint64_t)rect.width * rect.height * 4 < KEEP_GIL_BYTES) {
        result = kju_writer_draw(&self->w, &rect, &source);
    } else {
        Py_BEGIN_ALLOW_THREADS
        result = kju_writer_draw(&self->w, &rect, &source);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&buffer);
    return finish(self, result);
}

/* A Rect, or an iterable of them, as an array to be freed with PyMem_Free. */
static struct kju_rect *parse_rects(PyObject *object, size_t *count) {
    struct kju_rect *rects;
    if (PyTuple_Check(object) && PyTuple_Size(object) == 4 &&
        PyIndex_Check(PyTuple_GetItem(object, 0))) {
        *count = 1;
        rects = PyMem_Malloc(sizeof *rects);
        if (!rects)
            PyErr_NoMemory();
        else if (kju_parse_rect(object, rects)) {
            PyMem_Free(rects);
            return NULL;
        }
        return rects;
    }
    PyObject *list = PySequence_List(object);
    if (!list)
        return NULL;
    *count = (size_t)PyList_Size(list);
    rects = PyMem_Malloc((*count + 1) * sizeof *rects);
    if (!rects)
        PyErr_NoMemory();
    for (size_t i = 0; rects && i < *count; i++) {
        if (kju_parse_rect(PyList_GetItem(list, (Py_ssize_t)i), &rects[i])) {
            PyMem_Free(rects);
            rects = NULL;
        }
    }
    Py_DECREF(list);
    return rects;
}

/* compare(source, offset, stride, rects, format) -> number of tiles that were published */
static PyObject *writer_compare(Writer *self, PyObject *args) {
    Py_buffer buffer;
    PyObject *object;
    unsigned long long offset, stride;
    const char *format;
    struct kju_rect *rects = NULL;
    struct kju_source source;
    size_t count = 0;
    uint64_t changed = 0;
    int result;
    if (!PyArg_ParseTuple(args, "y*O&O&Os", &buffer, kju_parse_u64, &offset, kju_parse_u64,
                          &stride, &object, &format))
        return NULL;
    if (object != Py_None && !(rects = parse_rects(object, &count))) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    kju_writer_acquire_pixels(self);
    if (kju_fill_source(&source, &buffer, offset, stride, format, self->w.mode.fourcc,
                        self->w.mode.width)) {
        PyThread_release_lock(self->lock);
        PyMem_Free(rects);
        PyBuffer_Release(&buffer);
        return NULL;
    }
    if (rects && !count) {
        result = KJU_OK; /* an empty list compares nothing, not everything */
    } else {
        Py_BEGIN_ALLOW_THREADS
        result = kju_writer_compare(&self->w, &source, rects, count, &changed);
        Py_END_ALLOW_THREADS
    }
    PyThread_release_lock(self->lock);
    PyMem_Free(rects);
    PyBuffer_Release(&buffer);
    return result ? kju_raise(result) : PyLong_FromUnsignedLongLong(changed);
}

/* set_live(offset, stride): place of the mode's live window; stride 0 removes it. */
static PyObject *writer_set_live(Writer *self, PyObject *args) {
    unsigned long long offset;
    struct kju_live live;
    if (!PyArg_ParseTuple(args, "O&O&", kju_parse_u64, &offset, kju_parse_u32, &live.stride))
        return NULL;
    kju_writer_acquire(self);
    live.offset = offset;
    live.number = live.stride ? ++self->windows : 0;
    if (live.stride && !live.number)
        live.number = self->windows = 1;
    kju_set_live(self->w.memory, &live);
    PyThread_release_lock(self->lock);
    Py_RETURN_NONE;
}

/* Publish rectangles, possibly none, and end what `begin` began. If a rectangle is invalid, nothing
 * changes, and the pixels are still being drawn. */
static int publish_drawn(Writer *self, const struct kju_rect *rects, size_t count) {
    struct kju_header *h = self->w.memory;
    for (size_t i = 0; i < count; i++)
        if (kju_check_rect(&self->w.mode, &rects[i]))
            return KJU_E_RECT;
    if (count) {
        kju_begin(h);
        return kju_publish(h, &self->w.layout, &self->w.mode, rects, count);
    }
    if (kju_sequence(h) & 1)
        kju_unlock(&h->sequence);
    return KJU_OK;
}

/* publish(rects) -> version; the caller has drawn the pixels. */
static PyObject *writer_publish(Writer *self, PyObject *object) {
    size_t count;
    struct kju_rect *rects = parse_rects(object, &count);
    if (!rects)
        return NULL;
    kju_writer_acquire_pixels(self);
    int result = publish_drawn(self, rects, count);
    PyMem_Free(rects);
    return finish(self, result);
}

/* publish_range(start, length) -> version; the caller has written the bytes. */
static PyObject *writer_publish_range(Writer *self, PyObject *args) {
    unsigned long long start, length;
    struct kju_rect rects[3];
    size_t count = 0;
    if (!PyArg_ParseTuple(args, "O&O&", kju_parse_u64, &start, kju_parse_u64, &length))
        return NULL;
    kju_writer_acquire_pixels(self);
    int result = self->w.mode.epoch
                     ? kju_range_rects(&self->w.mode, start, length, rects, &count)
                     : KJU_E_RECT;
    return finish(self, result ? result : publish_drawn(self, rects, count));
}

/* begin(): the caller draws pixels next; publish ends it. */
static PyObject *writer_begin(Writer *self, PyObject *unused) {
    (void)unused;
    kju_writer_acquire_pixels(self);
    kju_begin(self->w.memory);
    PyThread_release_lock(self->lock);
    Py_RETURN_NONE;
}

/* hold() -> whether the pixels are now constant: no publication is in progress, and new ones wait
 * for unhold. State and cursor may still change. */
static PyObject *writer_hold(Writer *self, PyObject *unused) {
    (void)unused;
    if (self->held)
        Py_RETURN_FALSE;
    self->held = 1;
    take(self->gate);
    take(self->lock); /* publications that passed the gate before are finished now */
    PyThread_release_lock(self->lock);
    Py_RETURN_TRUE;
}

/* unhold(): publications continue; no effect if they were not held. */
static PyObject *writer_unhold(Writer *self, PyObject *unused) {
    (void)unused;
    if (self->held) {
        self->held = 0;
        PyThread_release_lock(self->gate);
    }
    Py_RETURN_NONE;
}

/* set_cursor(argb, width, height, hot_x, hot_y) */
static PyObject *writer_set_cursor(Writer *self, PyObject *args) {
    Py_buffer shape;
    uint32_t width, height, hot_x, hot_y;
    if (!PyArg_ParseTuple(args, "y*O&O&O&O&", &shape, kju_parse_u32, &width, kju_parse_u32,
                          &height, kju_parse_u32, &hot_x, kju_parse_u32, &hot_y))
        return NULL;
    struct kju_header *h = self->w.memory;
    size_t bytes = (size_t)width * height * 4;
    int result = width > KJU_CURSOR_SIDE || height > KJU_CURSOR_SIDE ||
                         bytes > self->w.layout.cursor_capacity || (size_t)shape.len != bytes
                     ? KJU_E_CURSOR
                     : KJU_OK;
    kju_writer_acquire(self);
    if (!result) {
        kju_lock(&h->cursor_sequence);
        atomic_thread_fence(memory_order_release);
        kju_copy_pixels((uint8_t *)self->w.memory + self->w.layout.cursor_offset, shape.buf, bytes);
        atomic_store(&h->cursor_width, width);
        atomic_store(&h->cursor_height, height);
        atomic_store(&h->cursor_hot_x, hot_x);
        atomic_store(&h->cursor_hot_y, hot_y);
        atomic_fetch_add(&h->cursor_version, 1);
        kju_unlock(&h->cursor_sequence);
        kju_wake(self->w.memory);
    }
    PyBuffer_Release(&shape);
    return finish(self, result);
}

/* move_cursor(x, y, visible) */
static PyObject *writer_move_cursor(Writer *self, PyObject *args) {
    int x, y, visible;
    if (!PyArg_ParseTuple(args, "O&O&p", kju_parse_i32, &x, kju_parse_i32, &y, &visible))
        return NULL;
    struct kju_header *h = self->w.memory;
    kju_writer_acquire(self);
    kju_lock(&h->cursor_sequence);
    atomic_store(&h->cursor_x, x);
    atomic_store(&h->cursor_y, y);
    atomic_store(&h->cursor_visible, (uint32_t)visible);
    atomic_fetch_add(&h->cursor_version, 1);
    kju_unlock(&h->cursor_sequence);
    kju_wake(self->w.memory);
    return finish(self, KJU_OK);
}

/* set_state(state, reason) */
static PyObject *writer_set_state(Writer *self, PyObject *args) {
    unsigned int state;
    const char *reason;
    if (!PyArg_ParseTuple(args, "Is", &state, &reason))
        return NULL;
    if (state < KJU_LIVE || state > KJU_CLOSED) {
        PyErr_Format(PyExc_ValueError, "state is %d to %d, not %u", KJU_LIVE, KJU_CLOSED, state);
        return NULL;
    }
    kju_writer_acquire(self);
    kju_set_state(self->w.memory, (enum kju_state)state, reason);
    return finish(self, KJU_OK);
}

static PyObject *get_mode(Writer *self, void *unused) {
    (void)unused;
    return kju_mode_tuple(&self->w.mode);
}
static PyObject *get_version(Writer *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(kju_version(self->w.memory));
}
static PyObject *get_u64(Writer *self, void *offset) {
    uint64_t value;
    memcpy(&value, (const char *)&self->w.layout + (size_t)(uintptr_t)offset, 8);
    return PyLong_FromUnsignedLongLong(value);
}
static PyObject *get_tile_side(Writer *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(self->w.layout.tile_side);
}

#define AT(field) (void *)offsetof(struct kju_layout, field)
static PyGetSetDef writer_getset[] = {
    {"mode_tuple", (getter)get_mode, NULL, "(width, height, stride, fourcc, epoch)", NULL},
    {"version", (getter)get_version, NULL, "Newest published version.", NULL},
    {"tile_side", (getter)get_tile_side, NULL, "Pixels.", NULL},
    {"incarnation", (getter)get_u64, NULL, "Random number of this life.", AT(incarnation)},
    {"capacity", (getter)get_u64, NULL, "Bytes of pixels.", AT(pixels_capacity)},
    {"pixels_offset", (getter)get_u64, NULL, "Bytes to the pixels.", AT(pixels_offset)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef writer_methods[] = {
    {"_set_mode", (PyCFunction)writer_set_mode, METH_VARARGS,
     "_set_mode(width, height, fourcc, source, offset, stride, format) -> version"},
    {"_draw", (PyCFunction)writer_draw, METH_VARARGS,
     "_draw(rect, source, offset, stride, format) -> version"},
    {"_compare", (PyCFunction)writer_compare, METH_VARARGS,
     "_compare(source, offset, stride, rects, format) -> tiles published"},
    {"_scan", (PyCFunction)kju_writer_scan, METH_VARARGS,
     "_scan(source, offset, stride, format, now) -> (when to call again, tiles published)"},
    {"_scan_until", (PyCFunction)kju_writer_scan_until, METH_VARARGS,
     "_scan_until(source, offset, stride, format, until, budget, longest) -> (when, tiles)"},
    {"interrupt", (PyCFunction)kju_writer_interrupt, METH_NOARGS,
     "interrupt(): have _scan_until return"},
    {"set_scan_pace", (PyCFunction)kju_writer_set_scan_pace, METH_VARARGS,
     "set_scan_pace(rest, brisk, hot, cold, share, answer): nanoseconds; see csrc/scan.h"},
    {"note_input", (PyCFunction)kju_writer_note_input, METH_O,
     "note_input(now): an input has been sent to the guest"},
    {"set_live", (PyCFunction)writer_set_live, METH_VARARGS,
     "set_live(offset, stride): the mode's live window; stride 0 takes it back"},
    {"begin", (PyCFunction)writer_begin, METH_NOARGS,
     "begin(): pixels are about to be drawn by hand"},
    {"publish", (PyCFunction)writer_publish, METH_O, "publish(rects) -> version"},
    {"publish_range", (PyCFunction)writer_publish_range, METH_VARARGS,
     "publish_range(start, length) -> version"},
    {"hold", (PyCFunction)writer_hold, METH_NOARGS,
     "hold() -> whether the pixels now hold still, until unhold"},
    {"unhold", (PyCFunction)writer_unhold, METH_NOARGS, "unhold(): publications go on"},
    {"set_cursor", (PyCFunction)writer_set_cursor, METH_VARARGS,
     "set_cursor(argb, width, height, hot_x, hot_y)"},
    {"move_cursor", (PyCFunction)writer_move_cursor, METH_VARARGS, "move_cursor(x, y, visible)"},
    {"_set_state", (PyCFunction)writer_set_state, METH_VARARGS, "_set_state(state, reason)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_new, writer_new},
    {Py_tp_dealloc, writer_dealloc},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getset},
    {Py_tp_doc, "Writer(buffer): the producer's side of one formatted surface."},
    {0, NULL},
};

PyType_Spec kju_writer_spec = {
    "kju.surface._core.Writer", sizeof(Writer), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE, writer_slots,
};
