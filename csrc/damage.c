#include "damage.h"

#include <stdlib.h>

int kju_check_source(const struct kju_source *s, uint32_t width, uint32_t height) {
    uint64_t row = (uint64_t)width * s->format->bytes;
    if (!width || !height)
        return KJU_OK;
    if (s->stride < row || s->stride > UINT32_MAX || s->offset > s->size)
        return KJU_E_RECT;
    uint64_t needed = s->stride * (height - 1) + row; /* below 2^48: no overflow */
    return needed <= s->size - s->offset ? KJU_OK : KJU_E_RECT;
}

/* ---- Copying into the published pixels ---- */

static uint8_t *pixel_at(const struct kju_writer *w, uint32_t x, uint32_t y) {
    return kju_pixels(w->memory, &w->layout) + (uint64_t)y * w->mode.stride +
           (uint64_t)x * kju_bytes_per_pixel(w->mode.fourcc);
}

/* Copy the source's rectangle at (from_x, from_y) to `rect`; sizes are checked. */
static void copy_rect(const struct kju_writer *w, const struct kju_rect *rect,
                      const struct kju_source *s, uint32_t from_x, uint32_t from_y) {
    if (!rect->width || !rect->height)
        return; /* the offset of an empty source has not been checked */
    const uint8_t *from = s->bytes + s->offset + from_y * s->stride +
                          (uint64_t)from_x * s->format->bytes;
    uint8_t *to = pixel_at(w, rect->x, rect->y);
    size_t row = (size_t)rect->width * kju_bytes_per_pixel(w->mode.fourcc);
    if (s->format->row) {
        for (uint32_t y = 0; y < rect->height; y++)
            s->format->row(to + (uint64_t)y * w->mode.stride, from + y * s->stride, rect->width);
    } else if (row == s->stride && row == w->mode.stride) {
        kju_copy_pixels(to, from, row * rect->height);
    } else {
        for (uint32_t y = 0; y < rect->height; y++)
            kju_copy_pixels(to + (uint64_t)y * w->mode.stride, from + y * s->stride, row);
    }
}

/* A one-byte surface takes one-byte sources as they are; XR24 takes any known format. */
static int fits_format(const struct kju_mode *mode, const struct kju_source *s) {
    return mode->fourcc == KJU_XR24 ? s->format->bytes != 1 : s->format->bytes == 1;
}

int kju_writer_mode(struct kju_writer *w, struct kju_mode mode, const struct kju_source *s) {
    int result = kju_check_mode(&w->layout, &mode);
    if (result)
        return result;
    if (s && (!fits_format(&mode, s) || kju_check_source(s, mode.width, mode.height)))
        return KJU_E_RECT;
    uint64_t version = kju_next_version(w->memory);
    struct kju_rect whole = {0, 0, mode.width, mode.height};
    kju_begin(w->memory);
    kju_set_mode(w->memory, &w->layout, &mode, version);
    w->mode = mode;
    if (s)
        copy_rect(w, &whole, s, 0, 0);
    else
        memset(pixel_at(w, 0, 0), 0, (size_t)mode.stride * mode.height);
    kju_end(w->memory, version);
    return KJU_OK;
}

int kju_writer_draw(struct kju_writer *w, const struct kju_rect *rect,
                    const struct kju_source *s) {
    if (!w->mode.epoch || kju_check_rect(&w->mode, rect) || !fits_format(&w->mode, s) ||
        kju_check_source(s, rect->width, rect->height))
        return KJU_E_RECT;
    kju_begin(w->memory);
    copy_rect(w, rect, s, 0, 0);
    return kju_publish(w->memory, &w->layout, &w->mode, rect, 1);
}

/* ---- Comparing ---- */

/* Whether raced bytes differ. A race can only make the answer late, never wrong for good:
 * the next comparison sees the same pixels again. */
#ifdef KJU_TSAN
__attribute__((no_sanitize("thread"), noinline)) int
kju_differ(const uint8_t *a, const uint8_t *b, size_t bytes) {
    const volatile uint8_t *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return 1;
    return 0;
}
#else
int kju_differ(const uint8_t *a, const uint8_t *b, size_t bytes) {
    return memcmp(a, b, bytes) != 0;
}
#endif

static uint64_t mark_candidates(struct kju_comparison *c, const struct kju_rect *rects, size_t count) {
    uint32_t side = c->w->layout.tile_side;
    uint64_t tiles = (uint64_t)c->columns * c->rows;
    if (!count)
        memset(c->marks, KJU_CANDIDATE, tiles);
    for (size_t i = 0; i < count; i++) {
        if (!rects[i].width || !rects[i].height)
            continue;
        uint32_t left = rects[i].x / side, right = (rects[i].x + rects[i].width - 1) / side;
        uint32_t bottom = (rects[i].y + rects[i].height - 1) / side;
        for (uint32_t row = rects[i].y / side; row <= bottom; row++)
            memset(c->marks + (uint64_t)row * c->columns + left, KJU_CANDIDATE, right - left + 1);
    }
    return tiles;
}

/* Compare one row of pixels over a run of candidate tiles [first, last); returns the number of
 * changed ones. The run is compared in one piece first: on a still screen nothing else is
 * needed, and memory is read in order. */
static uint32_t compare_run(struct kju_comparison *c, uint8_t *marks, const uint8_t *from,
                            const uint8_t *to, uint32_t first, uint32_t last) {
    uint32_t bytes = kju_bytes_per_pixel(c->w->mode.fourcc);
    size_t tile = (size_t)c->w->layout.tile_side * bytes;
    size_t row = (size_t)c->w->mode.width * bytes;
    size_t start = first * tile, end = last * tile < row ? last * tile : row;
    uint32_t found = 0;
    if (!kju_differ(from + start, to + start, end - start))
        return 0;
    for (uint32_t column = first; column < last; column++) {
        size_t a = column * tile, b = a + tile < row ? a + tile : row;
        if (kju_differ(from + a, to + a, b - a)) {
            marks[column] = KJU_CHANGED;
            found++;
        }
    }
    return found;
}

/* Compare one row of tiles, pixel row by pixel row, until every candidate has changed. */
static uint64_t compare_band(struct kju_comparison *c, uint32_t band) {
    const struct kju_mode *mode = &c->w->mode;
    uint32_t side = c->w->layout.tile_side, top = band * side;
    uint32_t height = mode->height - top < side ? mode->height - top : side;
    uint8_t *marks = c->marks + (uint64_t)band * c->columns;
    uint32_t left = 0;
    uint64_t changed = 0;
    for (uint32_t i = 0; i < c->columns; i++)
        left += marks[i] == KJU_CANDIDATE;
    for (uint32_t y = 0; y < height && left; y++) {
        const uint8_t *from = c->s->bytes + c->s->offset + (uint64_t)(top + y) * c->s->stride;
        const uint8_t *to = pixel_at(c->w, 0, top + y);
        if (c->scratch) {
            c->s->format->row(c->scratch, from, mode->width);
            from = c->scratch;
        }
        for (uint32_t i = 0; i < c->columns;) {
            uint32_t first = i;
            while (i < c->columns && marks[i] == KJU_CANDIDATE)
                i++;
            if (i > first) {
                uint32_t found = compare_run(c, marks, from, to, first, i);
                left -= found;
                changed += found;
            } else {
                i++;
            }
        }
    }
    return changed;
}

/* Copy one rectangle of tiles, cut to the mode, and give it the version. */
static void copy_tiles(struct kju_comparison *c, uint32_t column, uint32_t row, uint32_t columns,
                       uint32_t rows, uint64_t version) {
    uint32_t side = c->w->layout.tile_side;
    struct kju_rect r = {column * side, row * side, columns * side, rows * side};
    if (r.width > c->w->mode.width - r.x)
        r.width = c->w->mode.width - r.x;
    if (r.height > c->w->mode.height - r.y)
        r.height = c->w->mode.height - r.y;
    copy_rect(c->w, &r, c->s, r.x, r.y);
    kju_mark(c->w->memory, &c->w->layout, &c->w->mode, &r, version);
}

static int all_changed(const struct kju_comparison *c, uint32_t band) {
    const uint8_t *marks = c->marks + (uint64_t)band * c->columns;
    for (uint32_t i = 0; i < c->columns; i++)
        if (marks[i] != KJU_CHANGED)
            return 0;
    return 1;
}

/* Copy every changed tile: whole bands together, since one long copy is the fastest. */
static void copy_changed(struct kju_comparison *c, uint64_t version) {
    for (uint32_t band = 0; band < c->rows; band++) {
        uint32_t last = band;
        while (last < c->rows && all_changed(c, last))
            last++;
        if (last > band) {
            copy_tiles(c, 0, band, c->columns, last - band, version);
            band = last - 1;
            continue;
        }
        const uint8_t *marks = c->marks + (uint64_t)band * c->columns;
        for (uint32_t i = 0; i < c->columns; i++) {
            uint32_t first = i;
            while (i < c->columns && marks[i] == KJU_CHANGED)
                i++;
            if (i > first)
                copy_tiles(c, first, band, i - first, 1, version);
        }
    }
}

uint64_t kju_compare_marked(struct kju_comparison *c) {
    uint64_t changed = 0;
    for (uint32_t band = 0; band < c->rows; band++)
        changed += compare_band(c, band);
    if (changed) {
        uint64_t version = kju_next_version(c->w->memory);
        kju_begin(c->w->memory);
        copy_changed(c, version);
        kju_end(c->w->memory, version);
    }
    return changed;
}

int kju_check_frame(const struct kju_writer *w, const struct kju_source *s) {
    return !w->mode.epoch || !fits_format(&w->mode, s) ||
                   kju_check_source(s, w->mode.width, w->mode.height)
               ? KJU_E_RECT
               : KJU_OK;
}

int kju_writer_compare(struct kju_writer *w, const struct kju_source *s,
                       const struct kju_rect *rects, size_t count, uint64_t *changed) {
    uint32_t side = w->layout.tile_side;
    struct kju_comparison c = {.w = w, .s = s};
    *changed = 0;
    if (kju_check_frame(w, s))
        return KJU_E_RECT;
    for (size_t i = 0; i < count; i++)
        if (kju_check_rect(&w->mode, &rects[i]))
            return KJU_E_RECT;
    c.columns = kju_tiles_across(w->mode.width, side);
    c.rows = kju_tiles_across(w->mode.height, side);
    c.marks = calloc((size_t)c.columns * c.rows, 1);
    c.scratch = s->format->row ? malloc((size_t)w->mode.width * 4) : NULL;
    if (!c.marks || (s->format->row && !c.scratch)) {
        free(c.scratch);
        free(c.marks);
        return -ENOMEM;
    }
    mark_candidates(&c, rects, count);
    *changed = kju_compare_marked(&c);
    free(c.scratch);
    free(c.marks);
    return KJU_OK;
}

/* ---- Tiles to rectangles ---- */

size_t kju_newer_rects(const void *memory, const struct kju_layout *l, const struct kju_mode *m,
                       uint64_t since, struct kju_rect *rects, uint32_t *starts) {
    uint32_t side = l->tile_side;
    uint32_t columns = kju_tiles_across(m->width, side), rows = kju_tiles_across(m->height, side);
    size_t count = 0;
    memset(starts, 0, columns * sizeof *starts);
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t base = (uint64_t)row * columns;
        uint32_t y = row * side, height = m->height - y < side ? m->height - y : side;
        for (uint32_t i = 0; i < columns; i++) {
            uint32_t first = i;
            while (i < columns && kju_tile_newer(memory, l, base + i, since))
                i++;
            if (i == first)
                continue;
            uint32_t x = first * side;
            uint32_t width = (i * side < m->width ? i * side : m->width) - x;
            struct kju_rect *above = starts[first] ? &rects[starts[first] - 1] : NULL;
            if (above && above->width == width && above->y + above->height == y) {
                above->height += height;
            } else {
                rects[count++] = (struct kju_rect){x, y, width, height};
                starts[first] = (uint32_t)count;
            }
        }
    }
    return count;
}

size_t kju_most_rects(const struct kju_layout *l, const struct kju_mode *m) {
    size_t columns = kju_tiles_across(m->width, l->tile_side);
    return (columns + 1) / 2 * kju_tiles_across(m->height, l->tile_side);
}
