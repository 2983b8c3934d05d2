/* Reader.copy and Reader.thumbnail: pixels of one surface, or of its live window. */
#include "reader.h"
#include "thumbnail.h"

struct copy_request {
    struct kju_mode mode;
    struct kju_rect rect;
    const struct kju_format_out *format;
    uint8_t *out;
    size_t row; /* bytes of one row in `out` */
};

/* Copy from `pixels`, the mode's first, whose rows are `stride` bytes apart. */
static void copy_out(const struct copy_request *c, const uint8_t *pixels, uint32_t stride) {
    uint32_t bytes = kju_bytes_per_pixel(c->mode.fourcc);
    const uint8_t *from = pixels + (uint64_t)c->rect.y * stride + (uint64_t)c->rect.x * bytes;
    if (!c->format->row && c->row == stride) {
        kju_copy_pixels(c->out, from, c->row * c->rect.height);
        return;
    }
    for (uint32_t y = 0; y < c->rect.height; y++, from += stride) {
        if (c->format->row)
            c->format->row(c->out + y * c->row, from, c->rect.width);
        else
            kju_copy_pixels(c->out + y * c->row, from, c->row);
    }
}

enum { MODE_CHANGED = -1, NOT_EXACT = -2, NO_WINDOW = -3 };

/* Copy between two readings of the epoch (and, for one exact version, of the sequence). */
static long long copy_checked(const Reader *self, const struct copy_request *c, int exact) {
    const void *memory = self->memory.buf;
    struct kju_mode after;
    uint32_t sequence = kju_sequence(memory);
    if (exact && (sequence & 1))
        return NOT_EXACT;
    uint64_t version = kju_version(memory);
    copy_out(c, kju_pixels(memory, &self->layout), c->mode.stride);
    int same = kju_same_sequence(memory, sequence);
    if (kju_read_mode(memory, &self->layout, &after) || after.epoch != c->mode.epoch)
        return MODE_CHANGED;
    return exact && !same ? NOT_EXACT : (long long)version;
}

/* The same from the live window, which must not change either. */
static long long copy_live(const Reader *self, const struct copy_request *c,
                           const Py_buffer *window) {
    const void *memory = self->memory.buf;
    struct kju_mode mode;
    struct kju_live live, after;
    uint64_t version = kju_version(memory);
    if (kju_read_live(memory, &self->layout, &mode, &live) || mode.epoch != c->mode.epoch)
        return MODE_CHANGED;
    /* Use the mode that the rectangle was checked against: this one may have any values. */
    if (kju_check_live(&c->mode, &live, (uint64_t)window->len))
        return NO_WINDOW;
    copy_out(c, (const uint8_t *)window->buf + live.offset, live.stride);
    atomic_thread_fence(memory_order_acquire); /* the copy stays before the second reading */
    if (kju_read_live(memory, &self->layout, &mode, &after) || mode.epoch != c->mode.epoch ||
        after.number != live.number)
        return MODE_CHANGED;
    return (long long)version;
}

/* copy(out, epoch, rect, format, exact, window) -> version; -1: the mode has another epoch;
 * -2: one exact version was requested and the producer was writing; -3: `window` does not contain
 * the requested live window. */
PyObject *kju_reader_copy(Reader *self, PyObject *args) {
    Py_buffer out, window = {0};
    unsigned long long epoch;
    PyObject *rect, *result = NULL;
    const char *format;
    int exact;
    struct copy_request c;
    if (!PyArg_ParseTuple(args, "w*KOsp|z*", &out, &epoch, &rect, &format, &exact, &window))
        return NULL;
    c.format = kju_find_out(format);
    if (!c.format) {
        PyErr_Format(PyExc_ValueError, "format is bgrx, rgb, rgba or grey, not %s", format);
        goto done;
    }
    if (kju_parse_rect(rect, &c.rect) || kju_reader_mode(self, &c.mode))
        goto done;
    if (c.mode.epoch != epoch) {
        result = PyLong_FromLong(MODE_CHANGED);
        goto done;
    }
    if (c.mode.fourcc == KJU_R8) /* such a surface has one byte per pixel, for any requested format */
        c.format = kju_find_out("bgrx");
    uint32_t channels = c.mode.fourcc == KJU_R8 ? 1 : c.format->channels;
    c.row = (size_t)c.rect.width * channels;
    c.out = out.buf;
    if (!epoch || kju_check_rect(&c.mode, &c.rect) ||
        (uint64_t)out.len != (uint64_t)c.row * c.rect.height) {
        kju_raise(KJU_E_RECT);
        goto done;
    }
    long long version;
    if (out.len < KEEP_GIL_BYTES) {
        version = window.obj ? copy_live(self, &c, &window) : copy_checked(self, &c, exact);
    } else {
        Py_BEGIN_ALLOW_THREADS
        version = window.obj ? copy_live(self, &c, &window) : copy_checked(self, &c, exact);
        Py_END_ALLOW_THREADS
    }
    result = PyLong_FromLongLong(version);
done:
    PyBuffer_Release(&window);
    PyBuffer_Release(&out);
    return result;
}

/* thumbnail(out, width, height, epoch, part) -> version; -1: the mode has another epoch. */
PyObject *kju_reader_thumbnail(Reader *self, PyObject *args) {
    Py_buffer out;
    unsigned long long epoch;
    PyObject *part, *result = NULL;
    struct kju_mode mode, after;
    struct kju_thumbnail t = {0};
    if (!PyArg_ParseTuple(args, "w*O&O&KO", &out, kju_parse_u32, &t.to_width, kju_parse_u32,
                          &t.to_height, &epoch, &part))
        return NULL;
    if (kju_parse_rect(part, &t.part) || kju_reader_mode(self, &mode))
        goto done;
    if (!epoch || mode.epoch != epoch) {
        result = PyLong_FromLong(MODE_CHANGED);
        goto done;
    }
    t.from = kju_pixels(self->memory.buf, &self->layout);
    t.from_size = self->layout.pixels_capacity;
    t.stride = mode.stride;
    t.width = mode.width;
    t.height = mode.height;
    t.bytes = kju_bytes_per_pixel(mode.fourcc);
    t.to = out.buf;
    t.to_size = (uint64_t)out.len;
    uint64_t version = kju_version(self->memory.buf);
    int made;
    Py_BEGIN_ALLOW_THREADS
    made = kju_make_thumbnail(&t);
    atomic_thread_fence(memory_order_acquire); /* the pixels were read before the second reading */
    Py_END_ALLOW_THREADS
    if (made)
        kju_raise(made);
    else if (kju_read_mode(self->memory.buf, &self->layout, &after) || after.epoch != epoch)
        result = PyLong_FromLong(MODE_CHANGED);
    else
        result = PyLong_FromUnsignedLongLong(version);
done:
    PyBuffer_Release(&out);
    return result;
}
