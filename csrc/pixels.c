#include "picture.h"

/* Side of the cells that are compared. Runs of cells at most this many cells apart, or whose ends
 * differ by at most this many from the row above, become one rectangle, since a rectangle costs six
 * bytes and a palette. Measured: distances of 1 to 5 and cells of 4 and 16 are within 5 %. */
enum { CELL = 8, NEAR = 3 };
/* Rectangles that are searched for one that ends above a run. */
enum { MOST_ABOVE = 128 };

/* ---- Differences ---- */

static int same_row(const uint8_t *a, const uint8_t *b, size_t pixels, uint32_t pixel) {
    if (!memcmp(a, b, pixels * pixel))
        return 1;
    if (pixel == 1)
        return 0;
    for (size_t i = 0; i < pixels; i++)
        if (kju_load_colour(a + i * 4) != kju_load_colour(b + i * 4))
            return 0;
    return 1;
}

static int differ(const struct kju_picture *a, const struct kju_picture *b, struct kju_rect r) {
    for (uint32_t y = r.y; y < r.y + r.height; y++)
        if (!same_row(kju_pixel_at(a, r.x, y), kju_pixel_at(b, r.x, y), r.width, a->pixel))
            return 1;
    return 0;
}

/* Cut off the rows and columns of a rectangle that are equal; at least one pixel differs. */
static struct kju_rect shrink(const struct kju_picture *a, const struct kju_picture *b,
                              struct kju_rect r) {
    while (r.height > 1 && !differ(a, b, (struct kju_rect){r.x, r.y, r.width, 1}))
        r.y++, r.height--;
    while (r.height > 1 && !differ(a, b, (struct kju_rect){r.x, r.y + r.height - 1, r.width, 1}))
        r.height--;
    while (r.width > 1 && !differ(a, b, (struct kju_rect){r.x, r.y, 1, r.height}))
        r.x++, r.width--;
    while (r.width > 1 && !differ(a, b, (struct kju_rect){r.x + r.width - 1, r.y, 1, r.height}))
        r.width--;
    return r;
}

static uint32_t apart(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

/* Rectangles found by trim. Each has columns that it must not leave: pixels beyond them were not
 * requested in one of its rows, and the caller would not know that it received them. */
struct trimmed {
    struct kju_rects *out, within;
    size_t first;
};

/* Extend a rectangle that ends just above a run of cells, or begin one. */
static void add_run(struct trimmed *found, struct kju_rect run, struct kju_rect asked) {
    struct kju_rects *out = found->out;
    for (size_t i = out->size, tried = 0; i > found->first && tried < MOST_ABOVE; i--, tried++) {
        struct kju_rect *r = &out->at[i - 1], *may = &found->within.at[i - 1 - found->first];
        uint32_t right = r->x + r->width, end = run.x + run.width;
        if (r->y + r->height != run.y || run.x >= right || r->x >= end)
            continue;
        if (apart(r->x, run.x) > NEAR * CELL || apart(right, end) > NEAR * CELL)
            continue;
        uint32_t left = r->x < run.x ? r->x : run.x, last = right > end ? right : end;
        uint32_t from = may->x > asked.x ? may->x : asked.x;
        uint32_t ends = may->x + may->width, limit = asked.x + asked.width;
        uint32_t to = ends < limit ? ends : limit;
        if (left < from || last > to)
            continue;
        *may = (struct kju_rect){from, 0, to - from, 0};
        r->x = left;
        r->width = last - left;
        r->height += run.height;
        return;
    }
    kju_put_rect(&found->within, asked);
    kju_put_rect(out, run);
    out->failed = out->failed || found->within.failed;
}

static void trim_one(const struct kju_picture *old, const struct kju_picture *now,
                     struct kju_rect rect, struct trimmed *found) {
    uint32_t right = rect.x + rect.width, bottom = rect.y + rect.height;
    for (uint32_t y = rect.y; y < bottom; y += CELL) {
        uint32_t height = bottom - y < CELL ? bottom - y : CELL;
        struct kju_rect run = {0, 0, 0, 0};
        if (!differ(old, now, (struct kju_rect){rect.x, y, rect.width, height}))
            continue;
        for (uint32_t x = rect.x; x < right; x += CELL) {
            struct kju_rect cell = {x, y, right - x < CELL ? right - x : CELL, height};
            if (!differ(old, now, cell))
                continue;
            if (run.width && x - (run.x + run.width) <= NEAR * CELL) {
                run.width = x + cell.width - run.x;
            } else {
                if (run.width)
                    add_run(found, run, rect);
                run = cell;
            }
        }
        if (run.width)
            add_run(found, run, rect);
    }
}

void kju_trim(const struct kju_picture *old, const struct kju_picture *now,
              const struct kju_rect *rects, size_t count, struct kju_rects *out) {
    struct trimmed found = {out, {0}, out->size};
    for (size_t i = 0; i < count && !out->failed; i++)
        trim_one(old, now, rects[i], &found);
    free(found.within.at);
    for (size_t i = found.first; i < out->size && !out->failed; i++)
        out->at[i] = shrink(old, now, out->at[i]);
}

/* ---- Moves ---- */

/* Needles are rows of NEEDLE pixels. One with fewer than LEAST_COLOURS colours occurs too often. */
enum { NEEDLE = 24, LEAST_COLOURS = 3, MOST_NEEDLES = 12 };
/* Needles that are searched in the whole rectangle, which takes one or two milliseconds each. */
enum { MOST_SEARCHED = 3 };
/* Rows in succession that may differ within a move: a mouse pointer has 24. Rows after them must
 * have changed, since a plain background matches any origin. Measured: with 24, windows that are
 * drawn take 27 % more bytes; with 16, these 60 % and scrolling text 47 %; 48 is worse than 32. */
enum { ROWS_BETWEEN = 32 };
/* A move must explain this many pixels, and a 16th of the rectangle: with a quarter, windows that
 * are drawn take 22 % more bytes, a desktop 12 %, and text that is edited 12 % fewer. */
enum { LEAST_MOVED = 2048, LEAST_SHARE = 16 };

/* Return the part of `rect` around (x, y) in which `now` is `old` moved by (dx, dy), except rows with
 * a mouse pointer or a blinking cursor. */
static struct kju_rect spread(const struct kju_picture *old, const struct kju_picture *now,
                              struct kju_rect rect, uint32_t x, uint32_t y, int64_t dx, int64_t dy) {
    /* The part inside both pictures. */
    int64_t left = rect.x, top = rect.y, right = left + rect.width, bottom = top + rect.height;
    left = left + dx < 0 ? -dx : left;
    top = top + dy < 0 ? -dy : top;
    right = right + dx > old->width ? old->width - dx : right;
    bottom = bottom + dy > old->height ? old->height - dy : bottom;
    uint32_t x0 = x, x1 = x + NEEDLE;
#define SAME(px, py, n)                                                                            \
    same_row(kju_pixel_at(now, (uint32_t)(px), (uint32_t)(py)),                                        \
             kju_pixel_at(old, (uint32_t)((px) + dx), (uint32_t)((py) + dy)), (n), old->pixel)
#define CHANGED(py)                                                                                \
    !same_row(kju_pixel_at(now, x0, (uint32_t)(py)), kju_pixel_at(old, x0, (uint32_t)(py)), x1 - x0,       \
              old->pixel)
    while (x0 > left && SAME(x0 - 1, y, 1))
        x0--;
    while (x1 < right && SAME(x1, y, 1))
        x1++;
    uint32_t y0 = y, y1 = y + 1;
    for (int64_t row = (int64_t)y - 1; row >= top && row + ROWS_BETWEEN >= y0; row--)
        if (SAME(x0, row, x1 - x0) && (row + 1 == y0 || CHANGED(row)))
            y0 = (uint32_t)row;
    for (int64_t row = (int64_t)y + 1; row < bottom && row <= y1 + ROWS_BETWEEN; row++)
        if (SAME(x0, row, x1 - x0) && (row == y1 || CHANGED(row)))
            y1 = (uint32_t)row + 1;
#undef SAME
#undef CHANGED
    return (struct kju_rect){x0, y0, x1 - x0, y1 - y0};
}

/* Whether a row of pixels is rare enough to identify a move. */
static int tells(const struct kju_picture *p, uint32_t x, uint32_t y) {
    uint32_t seen[LEAST_COLOURS], count = 0;
    for (uint32_t i = 0; i < NEEDLE; i++) {
        uint32_t colour = kju_colour_at(p, x + i, y), k = 0;
        while (k < count && seen[k] != colour)
            k++;
        if (k == count) {
            if (count + 1 == LEAST_COLOURS)
                return 1;
            seen[count++] = colour;
        }
    }
    /* Two colours, as in text, must alternate often enough. */
    uint32_t changes = 0;
    for (uint32_t i = 1; i < NEEDLE; i++)
        changes += kju_colour_at(p, x + i, y) != kju_colour_at(p, x + i - 1, y);
    return changes >= 4;
}

struct search {
    const struct kju_picture *old, *now;
    struct kju_rect rect, best;
    uint32_t x, y; /* origin of `best` */
    uint32_t tried;
};

static void consider(struct search *s, uint32_t x, uint32_t y, uint32_t from_x, uint32_t from_y) {
    int64_t dx = (int64_t)from_x - x, dy = (int64_t)from_y - y;
    if (!dx && !dy)
        return;
    struct kju_rect found = spread(s->old, s->now, s->rect, x, y, dx, dy);
    if (kju_area(found) > kju_area(s->best)) {
        s->best = found;
        s->x = (uint32_t)(found.x + dx);
        s->y = (uint32_t)(found.y + dy);
    }
}

/* Search for the pixels that are at (x, y) now: first above and below, since text scrolls. */
static void search(struct search *s, uint32_t x, uint32_t y) {
    const struct kju_picture *old = s->old;
    const uint8_t *needle = kju_pixel_at(s->now, x, y);
    size_t bytes = (size_t)NEEDLE * old->pixel;
    uint32_t top = s->rect.y, bottom = s->rect.y + s->rect.height;
    uint64_t before = kju_area(s->best);
    for (uint32_t away = 1; away < s->rect.height; away++) {
        if (y >= top + away && same_row(kju_pixel_at(old, x, y - away), needle, NEEDLE, old->pixel))
            consider(s, x, y, x, y - away);
        if (y + away < bottom && same_row(kju_pixel_at(old, x, y + away), needle, NEEDLE, old->pixel))
            consider(s, x, y, x, y + away);
        if (kju_area(s->best) > before)
            return;
    }
    if (s->tried > MOST_SEARCHED || kju_area(s->best) * 4 >= kju_area(s->rect))
        return; /* the known move is large enough; a second one is rare */
    for (uint32_t row = top; row < bottom; row++) {
        const uint8_t *start = kju_pixel_at(old, s->rect.x, row), *at = start;
        const uint8_t *end = start + (size_t)s->rect.width * old->pixel;
        while ((at = memmem(at, (size_t)(end - at), needle, bytes))) {
            size_t off = (size_t)(at - start);
            if (off % old->pixel == 0)
                consider(s, x, y, s->rect.x + (uint32_t)(off / old->pixel), row);
            if (kju_area(s->best) > before)
                return;
            at++;
        }
    }
}

int kju_find_move(const struct kju_picture *old, const struct kju_picture *now,
                  const struct kju_rect *rect, struct kju_rect *to, uint32_t *x, uint32_t *y) {
    struct search s = {.old = old, .now = now, .rect = *rect};
    if (rect->width < NEEDLE || kju_area(*rect) < LEAST_MOVED)
        return 0;
    /* Places in the whole rectangle, in an order that soon covers each part. */
    for (uint32_t i = 0; i < 64 && s.tried < MOST_NEEDLES; i++) {
        uint32_t fx = (i * 37) % 64, fy = (i * 23 + 11) % 64;
        uint32_t px = rect->x + (uint32_t)((uint64_t)(rect->width - NEEDLE) * fx / 64);
        uint32_t py = rect->y + (uint32_t)((uint64_t)rect->height * fy / 64);
        int inside = px >= s.best.x && px < s.best.x + s.best.width && py >= s.best.y &&
                     py < s.best.y + s.best.height;
        if (inside || !tells(now, px, py) ||
            same_row(kju_pixel_at(old, px, py), kju_pixel_at(now, px, py), NEEDLE, old->pixel))
            continue;
        s.tried++;
        search(&s, px, py);
        if (kju_area(s.best) * 4 > kju_area(*rect) * 3)
            break;
    }
    if (kju_area(s.best) < LEAST_MOVED || kju_area(s.best) * LEAST_SHARE < kju_area(*rect))
        return 0;
    *to = s.best;
    *x = s.x;
    *y = s.y;
    return 1;
}
