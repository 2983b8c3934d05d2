#include "pixels.h"

#include <stdlib.h>
#include <string.h>

/* Differences are looked for in cells of this side. Runs of cells that are as many cells apart,
 * or whose ends differ by as many from the row above, become one rectangle: another one costs
 * six bytes and a palette. Measured: 1 to 5 apart, and cells of 4 and 16, are within 5 % of this. */
enum { CELL = 8, NEAR = 3 };
/* Rectangles that are looked at for one that ends above a run. */
enum { MOST_ABOVE = 128 };
/* Colours of a palette; a number of a pixel has 8 bits at most. */
enum { COLOURS = 256, BUCKETS = 1024 };
/* With more colours than this a rectangle uses the block's table. */
enum { FEW = 16 };

static void *grow(void *at, size_t *room, size_t needed, size_t each, int *failed) {
    if (needed <= *room)
        return at;
    size_t more = *room ? *room * 2 : 64;
    while (more < needed)
        more *= 2;
    void *grown = realloc(at, more * each);
    if (!grown) {
        *failed = 1;
        return at;
    }
    *room = more;
    return grown;
}

static uint8_t *take(struct kju_bytes *out, size_t size) {
    out->at = out->failed ? out->at
                          : grow(out->at, &out->room, out->size + size, 1, &out->failed);
    if (out->failed)
        return NULL;
    out->size += size;
    return out->at + out->size - size;
}

static void put_byte(struct kju_bytes *out, uint8_t byte) {
    uint8_t *to = take(out, 1);
    if (to)
        *to = byte;
}

static void put_varint(struct kju_bytes *out, uint32_t value) {
    for (; value >= 128; value >>= 7)
        put_byte(out, (uint8_t)(value | 128));
    put_byte(out, (uint8_t)value);
}

static void put_rect(struct kju_rects *out, struct kju_rect rect) {
    out->at = out->failed ? out->at
                          : grow(out->at, &out->room, out->size + 1, sizeof rect, &out->failed);
    if (!out->failed)
        out->at[out->size++] = rect;
}

static uint8_t *pixel_at(const struct kju_picture *p, uint32_t x, uint32_t y) {
    return p->bytes + (size_t)y * p->stride + (size_t)x * p->pixel;
}

static uint32_t colour_at(const struct kju_picture *p, uint32_t x, uint32_t y) {
    const uint8_t *at = pixel_at(p, x, y);
    return p->pixel == 1 ? at[0] : (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

/* ---- What differs ---- */

static int same_row(const uint8_t *a, const uint8_t *b, size_t pixels, uint32_t pixel) {
    if (!memcmp(a, b, pixels * pixel))
        return 1;
    if (pixel == 1)
        return 0;
    for (size_t i = 0; i < pixels; i++, a += 4, b += 4)
        if (a[0] != b[0] || a[1] != b[1] || a[2] != b[2])
            return 0;
    return 1;
}

static int differ(const struct kju_picture *a, const struct kju_picture *b, struct kju_rect r) {
    for (uint32_t y = r.y; y < r.y + r.height; y++)
        if (!same_row(pixel_at(a, r.x, y), pixel_at(b, r.x, y), r.width, a->pixel))
            return 1;
    return 0;
}

/* Cut rows and columns off a rectangle in which nothing differs. Something does. */
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

/* What trim has found. Each rectangle has columns that it may not leave: what lies beyond them was
 * not asked for in one of its rows, and whoever asked would not know that it is there. */
struct trimmed {
    struct kju_rects *out, within;
    size_t first;
};

/* Let a run of cells go on a rectangle that ends just above it, or begin one. */
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
    put_rect(&found->within, asked);
    put_rect(out, run);
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

/* ---- What has moved ---- */

/* Pixels side by side that are searched for; a row of fewer colours than this says nothing. */
enum { NEEDLE = 24, LEAST_COLOURS = 3, MOST_NEEDLES = 12 };
/* Of so many of them all of the rectangle is searched, which takes a millisecond or two each. */
enum { MOST_SEARCHED = 3 };
/* Rows that may differ between two that do not: a pointer has 24. What lies behind them must have
 * changed: plain ground is the same wherever it comes from. Measured: with 24 windows that are drawn
 * have 27 % more bytes, with 16 60 % and a scrolling text 47 %; 48 is worse than 32 again. */
enum { ROWS_BETWEEN = 32 };
/* A move has to explain so many pixels, and a 16th of those looked at: with a quarter, windows that
 * are drawn have 22 % more bytes and a desktop 12 %, and a text that is edited 12 % fewer. */
enum { LEAST_MOVED = 2048, LEAST_SHARE = 16 };

static uint64_t area(struct kju_rect r) { return (uint64_t)r.width * r.height; }

/* The part of `rect` around (x, y) in which `now` is `old` moved by (dx, dy), but for rows that a
 * pointer or a blinking cursor stands in. */
static struct kju_rect spread(const struct kju_picture *old, const struct kju_picture *now,
                              struct kju_rect rect, uint32_t x, uint32_t y, int64_t dx, int64_t dy) {
    /* What is inside both pictures. */
    int64_t left = rect.x, top = rect.y, right = left + rect.width, bottom = top + rect.height;
    left = left + dx < 0 ? -dx : left;
    top = top + dy < 0 ? -dy : top;
    right = right + dx > old->width ? old->width - dx : right;
    bottom = bottom + dy > old->height ? old->height - dy : bottom;
    uint32_t x0 = x, x1 = x + NEEDLE;
#define SAME(px, py, n)                                                                            \
    same_row(pixel_at(now, (uint32_t)(px), (uint32_t)(py)),                                        \
             pixel_at(old, (uint32_t)((px) + dx), (uint32_t)((py) + dy)), (n), old->pixel)
#define CHANGED(py)                                                                                \
    !same_row(pixel_at(now, x0, (uint32_t)(py)), pixel_at(old, x0, (uint32_t)(py)), x1 - x0,       \
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

/* Whether a row of pixels is one that is not met everywhere. */
static int tells(const struct kju_picture *p, uint32_t x, uint32_t y) {
    uint32_t seen[LEAST_COLOURS], count = 0;
    for (uint32_t i = 0; i < NEEDLE; i++) {
        uint32_t colour = colour_at(p, x + i, y), k = 0;
        while (k < count && seen[k] != colour)
            k++;
        if (k == count) {
            if (count + 1 == LEAST_COLOURS)
                return 1;
            seen[count++] = colour;
        }
    }
    /* Two colours, as in text: they have to change often enough. */
    uint32_t changes = 0;
    for (uint32_t i = 1; i < NEEDLE; i++)
        changes += colour_at(p, x + i, y) != colour_at(p, x + i - 1, y);
    return changes >= 4;
}

struct search {
    const struct kju_picture *old, *now;
    struct kju_rect rect, best;
    uint32_t x, y; /* where `best` comes from */
    uint32_t tried;
};

static void consider(struct search *s, uint32_t x, uint32_t y, uint32_t from_x, uint32_t from_y) {
    int64_t dx = (int64_t)from_x - x, dy = (int64_t)from_y - y;
    if (!dx && !dy)
        return;
    struct kju_rect found = spread(s->old, s->now, s->rect, x, y, dx, dy);
    if (area(found) > area(s->best)) {
        s->best = found;
        s->x = (uint32_t)(found.x + dx);
        s->y = (uint32_t)(found.y + dy);
    }
}

/* Look for what stands at (x, y) now: above and below first, where text scrolls. */
static void search(struct search *s, uint32_t x, uint32_t y) {
    const struct kju_picture *old = s->old;
    const uint8_t *needle = pixel_at(s->now, x, y);
    size_t bytes = (size_t)NEEDLE * old->pixel;
    uint32_t top = s->rect.y, bottom = s->rect.y + s->rect.height;
    uint64_t before = area(s->best);
    for (uint32_t away = 1; away < s->rect.height; away++) {
        if (y >= top + away && same_row(pixel_at(old, x, y - away), needle, NEEDLE, old->pixel))
            consider(s, x, y, x, y - away);
        if (y + away < bottom && same_row(pixel_at(old, x, y + away), needle, NEEDLE, old->pixel))
            consider(s, x, y, x, y + away);
        if (area(s->best) > before)
            return;
    }
    if (s->tried > MOST_SEARCHED || area(s->best) * 4 >= area(s->rect))
        return; /* what is known is worth telling, and few things move in two ways */
    for (uint32_t row = top; row < bottom; row++) {
        const uint8_t *start = pixel_at(old, s->rect.x, row), *at = start;
        const uint8_t *end = start + (size_t)s->rect.width * old->pixel;
        while ((at = memmem(at, (size_t)(end - at), needle, bytes))) {
            size_t off = (size_t)(at - start);
            if (off % old->pixel == 0)
                consider(s, x, y, s->rect.x + (uint32_t)(off / old->pixel), row);
            if (area(s->best) > before)
                return;
            at++;
        }
    }
}

int kju_find_move(const struct kju_picture *old, const struct kju_picture *now,
                  const struct kju_rect *rect, struct kju_rect *to, uint32_t *x, uint32_t *y) {
    struct search s = {.old = old, .now = now, .rect = *rect};
    if (rect->width < NEEDLE || area(*rect) < LEAST_MOVED)
        return 0;
    /* Places all over the rectangle, in an order that soon has seen each part of it. */
    for (uint32_t i = 0; i < 64 && s.tried < MOST_NEEDLES; i++) {
        uint32_t fx = (i * 37) % 64, fy = (i * 23 + 11) % 64;
        uint32_t px = rect->x + (uint32_t)((uint64_t)(rect->width - NEEDLE) * fx / 64);
        uint32_t py = rect->y + (uint32_t)((uint64_t)rect->height * fy / 64);
        int inside = px >= s.best.x && px < s.best.x + s.best.width && py >= s.best.y &&
                     py < s.best.y + s.best.height;
        if (inside || !tells(now, px, py) ||
            same_row(pixel_at(old, px, py), pixel_at(now, px, py), NEEDLE, old->pixel))
            continue;
        s.tried++;
        search(&s, px, py);
        if (area(s.best) * 4 > area(*rect) * 3)
            break;
    }
    if (area(s.best) < LEAST_MOVED || area(s.best) * LEAST_SHARE < area(*rect))
        return 0;
    *to = s.best;
    *x = s.x;
    *y = s.y;
    return 1;
}

void kju_copy_within(const struct kju_picture *p, const struct kju_rect *to, uint32_t x, uint32_t y) {
    size_t bytes = (size_t)to->width * p->pixel;
    for (uint32_t i = 0; i < to->height; i++) {
        uint32_t row = to->y > y ? to->height - 1 - i : i; /* what is read is not yet written */
        memmove(pixel_at(p, to->x, to->y + row), pixel_at(p, x, y + row), bytes);
    }
}

/* ---- Packing ---- */

struct palette {
    uint32_t colours[COLOURS], count;
    uint16_t buckets[BUCKETS]; /* number of a colour + 1 */
};

/* Where a colour is, or would be. */
static uint32_t bucket_of(const struct palette *p, uint32_t colour) {
    uint32_t bucket = (colour * 2654435761u) >> 22;
    while (p->buckets[bucket] && p->colours[p->buckets[bucket] - 1] != colour)
        bucket = (bucket + 1) % BUCKETS;
    return bucket;
}

/* The number of a colour, which is added; COLOURS when there are too many. */
static uint32_t number_of(struct palette *p, uint32_t colour) {
    uint32_t bucket = bucket_of(p, colour);
    if (p->buckets[bucket])
        return p->buckets[bucket] - 1u;
    if (p->count == COLOURS)
        return COLOURS;
    p->colours[p->count] = colour;
    p->buckets[bucket] = (uint16_t)++p->count;
    return p->count - 1;
}

/* Every colour of a rectangle; 0 when there are more than a palette has, or so many that
 * listing them costs as much as they save. */
static int gather(const struct kju_picture *p, struct kju_rect r, struct palette *found) {
    uint64_t most = area(r) / 4 + 2;
    uint32_t last = 0, any = 0;
    memset(found->buckets, 0, sizeof found->buckets);
    found->count = 0;
    for (uint32_t y = r.y; y < r.y + r.height; y++)
        for (uint32_t x = r.x; x < r.x + r.width; x++) {
            uint32_t colour = colour_at(p, x, y);
            if (any && colour == last)
                continue;
            any = 1;
            last = colour;
            if (number_of(found, colour) == COLOURS || found->count > most)
                return 0;
        }
    return 1;
}

static void put_colour(struct kju_bytes *out, uint32_t colour, uint32_t pixel) {
    put_byte(out, (uint8_t)colour);
    if (pixel != 1) {
        put_byte(out, (uint8_t)(colour >> 8));
        put_byte(out, (uint8_t)(colour >> 16));
    }
}

static uint32_t bits_for(uint32_t count) {
    return count <= 2 ? 1 : count <= 4 ? 2 : count <= 16 ? 4 : 8;
}

static void put_indices(const struct kju_picture *p, struct kju_rect r, struct palette *colours,
                        uint32_t bits, struct kju_bytes *out) {
    uint32_t each = 8 / bits;
    size_t row = ((size_t)r.width + each - 1) / each;
    uint8_t *to = take(out, row * r.height);
    if (!to)
        return;
    memset(to, 0, row * r.height);
    for (uint32_t y = 0; y < r.height; y++, to += row) {
        uint32_t last = 0, number = 0, any = 0;
        for (uint32_t x = 0; x < r.width; x++) {
            uint32_t colour = colour_at(p, r.x + x, r.y + y);
            if (!any || colour != last)
                number = number_of(colours, colour);
            any = 1;
            last = colour;
            to[x / each] |= (uint8_t)(number << (x % each * bits));
        }
    }
}

static uint8_t predicted(uint8_t left, uint8_t up, uint8_t corner, uint32_t how) {
    if (how == KJU_LEFT)
        return left;
    if (how == KJU_UP)
        return up;
    uint8_t low = left < up ? left : up, high = left < up ? up : left;
    if (corner >= high)
        return low;
    if (corner <= low)
        return high;
    return (uint8_t)(left + up - corner);
}

/* One row of a rectangle as channels, width bytes each: green, blue - green, red - green. */
static void split_row(const struct kju_picture *p, struct kju_rect r, uint32_t y, uint8_t *to) {
    const uint8_t *at = pixel_at(p, r.x, r.y + y);
    if (p->pixel == 1) {
        memcpy(to, at, r.width);
        return;
    }
    for (uint32_t x = 0; x < r.width; x++, at += 4) {
        to[x] = at[1];
        to[r.width + x] = (uint8_t)(at[0] - at[1]);
        to[2 * r.width + x] = (uint8_t)(at[2] - at[1]);
    }
}

static void residuals(const uint8_t *row, const uint8_t *above, uint32_t width, uint32_t how,
                      uint8_t *to) {
    uint8_t left = 0, corner = 0;
    if (how == KJU_LEFT) {
        to[0] = row[0];
        for (uint32_t x = 1; x < width; x++)
            to[x] = (uint8_t)(row[x] - row[x - 1]);
        return;
    }
    if (how == KJU_UP) {
        for (uint32_t x = 0; x < width; x++)
            to[x] = (uint8_t)(row[x] - above[x]);
        return;
    }
    for (uint32_t x = 0; x < width; x++) {
        to[x] = (uint8_t)(row[x] - predicted(left, above[x], corner, how));
        left = row[x];
        corner = above[x];
    }
}

static uint64_t weight(const uint8_t *bytes, size_t size) {
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i] < 128 ? bytes[i] : 256u - bytes[i];
    return sum;
}

static void pack_predicted(const struct kju_picture *p, struct kju_rect r, struct kju_bytes *out) {
    uint32_t channels = p->pixel == 1 ? 1 : 3;
    size_t row = (size_t)r.width * channels, plane = (size_t)r.width * r.height;
    uint8_t *rows = calloc(3, row);
    if (!rows) {
        out->failed = 1;
        return;
    }
    uint8_t *above = rows, *here = rows + row, *scratch = rows + 2 * row;
    uint64_t costs[KJU_PREDICTORS] = {0};
    for (uint32_t y = 1; y < r.height; y += 4) { /* a quarter of the rows tells enough */
        split_row(p, r, y - 1, above);
        split_row(p, r, y, here);
        for (uint32_t how = 0; how < KJU_PREDICTORS; how++)
            for (uint32_t c = 0; c < channels; c++) {
                residuals(here + c * r.width, above + c * r.width, r.width, how, scratch);
                costs[how] += weight(scratch, r.width);
            }
    }
    uint32_t best = 0;
    for (uint32_t how = 1; how < KJU_PREDICTORS; how++)
        best = costs[how] < costs[best] ? how : best;
    put_byte(out, (uint8_t)best);
    uint8_t *to = take(out, plane * channels);
    memset(above, 0, row);
    for (uint32_t y = 0; to && y < r.height; y++) {
        split_row(p, r, y, here);
        for (uint32_t c = 0; c < channels; c++)
            residuals(here + c * r.width, above + c * r.width, r.width, best,
                      to + c * plane + (size_t)y * r.width);
        uint8_t *other = above;
        above = here;
        here = other;
    }
    free(rows);
}

static void put_place(struct kju_bytes *out, uint8_t kind, const struct kju_rect *r) {
    put_byte(out, kind);
    put_varint(out, r->x);
    put_varint(out, r->y);
    put_varint(out, r->width - 1);
    put_varint(out, r->height - 1);
}

static void put_colours(const struct palette *p, uint32_t from, uint32_t pixel,
                        struct kju_bytes *out) {
    for (uint32_t i = from; i < p->count; i++)
        put_colour(out, p->colours[i], pixel);
}

/* Add to the table what a palette has; 0 where it would have too many. */
static int join(struct palette *table, const struct palette *own) {
    uint32_t more = 0;
    for (uint32_t i = 0; i < own->count; i++)
        more += !table->buckets[bucket_of(table, own->colours[i])];
    if (table->count + more > COLOURS)
        return 0;
    for (uint32_t i = 0; i < own->count; i++)
        number_of(table, own->colours[i]);
    return 1;
}

static void pack_one(const struct kju_picture *p, struct kju_rect r, struct palette *own,
                     struct palette *table, struct kju_bytes *out) {
    uint32_t before = table->count;
    if (!gather(p, r, own)) {
        put_place(out, KJU_PREDICT, &r);
        pack_predicted(p, r, out);
    } else if (own->count == 1) {
        put_place(out, KJU_FILL, &r);
        put_colour(out, own->colours[0], p->pixel);
    } else if (own->count > FEW && join(table, own)) {
        put_place(out, KJU_TABLE, &r);
        put_varint(out, table->count - before);
        put_colours(table, before, p->pixel, out);
        put_indices(p, r, table, 8, out);
    } else {
        put_place(out, KJU_PALETTE, &r);
        put_byte(out, (uint8_t)(own->count - 1));
        put_colours(own, 0, p->pixel, out);
        put_indices(p, r, own, bits_for(own->count), out);
    }
}

void kju_pack(const struct kju_picture *p, const struct kju_rect *rects, size_t count,
              struct kju_bytes *out) {
    struct palette *palettes = calloc(2, sizeof *palettes);
    if (!palettes) {
        out->failed = 1;
        return;
    }
    for (size_t i = 0; i < count && !out->failed; i++)
        pack_one(p, rects[i], &palettes[0], &palettes[1], out);
    free(palettes);
}

void kju_pack_copy(const struct kju_rect *to, uint32_t x, uint32_t y, struct kju_bytes *out) {
    put_place(out, KJU_COPY, to);
    put_varint(out, x);
    put_varint(out, y);
}

/* ---- Unpacking ---- */

struct input { /* hostile */
    const uint8_t *at, *end;
    int failed;
    uint32_t count; /* colours of the table */
    uint8_t table[COLOURS * 3];
};

static const uint8_t *get(struct input *in, uint64_t size) {
    if (in->failed || size > (uint64_t)(in->end - in->at)) {
        in->failed = 1;
        return NULL;
    }
    in->at += size;
    return in->at - size;
}

static uint32_t get_byte(struct input *in) {
    const uint8_t *at = get(in, 1);
    return at ? *at : 0;
}

static uint32_t get_varint(struct input *in) {
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 35; shift += 7) {
        uint32_t byte = get_byte(in);
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            if (value > UINT32_MAX)
                in->failed = 1;
            return (uint32_t)value;
        }
    }
    in->failed = 1;
    return 0;
}

struct item {
    uint32_t kind, x, y; /* x, y: where COPY copies from */
    struct kju_rect rect;
    uint32_t count; /* colours of a PALETTE or the TABLE, predictor of PREDICT */
    uint32_t bits;
    const uint8_t *colours, *data;
};

static void add_to_table(struct input *in, uint32_t more, uint32_t channels) {
    const uint8_t *colours = more <= COLOURS - in->count ? get(in, (uint64_t)more * channels) : NULL;
    if (!colours || in->count + more == 0) {
        in->failed = 1;
        return;
    }
    memcpy(in->table + (size_t)in->count * channels, colours, (size_t)more * channels);
    in->count += more;
}

static int inside(uint32_t at, uint32_t size, uint32_t whole) {
    return size <= whole && at <= whole - size;
}

/* The next item, of which every number has been checked; `in` has failed where one is wrong. */
static struct item next_item(struct input *in, const struct kju_picture *p) {
    struct item i = {.kind = get_byte(in)};
    uint32_t channels = p->pixel == 1 ? 1 : 3;
    i.rect.x = get_varint(in);
    i.rect.y = get_varint(in);
    i.rect.width = get_varint(in);
    i.rect.height = get_varint(in);
    if (i.rect.width >= p->width || i.rect.height >= p->height) {
        in->failed = 1;
        return i;
    }
    i.rect.width++;
    i.rect.height++;
    if (!inside(i.rect.x, i.rect.width, p->width) || !inside(i.rect.y, i.rect.height, p->height))
        in->failed = 1;
    switch (i.kind) {
    case KJU_FILL:
        i.colours = get(in, channels);
        break;
    case KJU_COPY:
        i.x = get_varint(in);
        i.y = get_varint(in);
        if (!inside(i.x, i.rect.width, p->width) || !inside(i.y, i.rect.height, p->height))
            in->failed = 1;
        break;
    case KJU_PALETTE: {
        i.count = get_byte(in) + 1;
        i.colours = get(in, (uint64_t)i.count * channels);
        i.bits = bits_for(i.count);
        uint32_t each = 8 / i.bits;
        i.data = get(in, ((uint64_t)i.rect.width + each - 1) / each * i.rect.height);
        break;
    }
    case KJU_TABLE:
        add_to_table(in, get_varint(in), channels);
        i.count = in->count;
        i.bits = 8;
        i.colours = in->table;
        i.data = get(in, (uint64_t)i.rect.width * i.rect.height);
        break;
    case KJU_PREDICT:
        i.count = get_byte(in);
        if (i.count >= KJU_PREDICTORS)
            in->failed = 1;
        i.data = get(in, (uint64_t)i.rect.width * i.rect.height * channels);
        break;
    default:
        in->failed = 1;
    }
    return i;
}

int kju_check_block(const uint8_t *bytes, size_t size, const struct kju_picture *p,
                    struct kju_rects *rects, size_t *at) {
    struct input in = {.at = bytes, .end = bytes + size};
    while (in.at < in.end) {
        *at = (size_t)(in.at - bytes);
        struct item i = next_item(&in, p);
        if (in.failed)
            return KJU_E_FORMAT;
        put_rect(rects, i.rect);
    }
    return KJU_OK;
}

static void set_pixel(uint8_t *to, const uint8_t *colour, uint32_t pixel) {
    to[0] = colour[0];
    if (pixel != 1) {
        to[1] = colour[1];
        to[2] = colour[2];
        to[3] = 0;
    }
}

static void draw_indexed(const struct kju_picture *p, const struct item *i) {
    uint32_t channels = p->pixel == 1 ? 1 : 3, bits = i->bits, each = 8 / bits;
    size_t row = ((size_t)i->rect.width + each - 1) / each;
    for (uint32_t y = 0; y < i->rect.height; y++) {
        uint8_t *to = pixel_at(p, i->rect.x, i->rect.y + y);
        const uint8_t *from = i->data + y * row;
        for (uint32_t x = 0; x < i->rect.width; x++, to += p->pixel) {
            uint32_t number = from[x / each] >> (x % each * bits) & ((1u << bits) - 1);
            /* A number that no colour has is the first one's: a picture like any other. */
            set_pixel(to, i->colours + (number < i->count ? number : 0) * channels, p->pixel);
        }
    }
}

static void draw_predicted(const struct kju_picture *p, const struct item *i) {
    uint32_t channels = p->pixel == 1 ? 1 : 3, width = i->rect.width;
    size_t plane = (size_t)width * i->rect.height;
    for (uint32_t y = 0; y < i->rect.height; y++) {
        uint8_t *to = pixel_at(p, i->rect.x, i->rect.y + y);
        const uint8_t *from = i->data + (size_t)y * width, *above = y ? to - p->stride : NULL;
        uint8_t left[3] = {0}, corner[3] = {0};
        for (uint32_t x = 0; x < width; x++, to += p->pixel, from++) {
            uint8_t up[3] = {0}, got[3] = {0};
            if (above && channels == 1) {
                up[0] = above[x];
            } else if (above) {
                const uint8_t *a = above + (size_t)x * 4;
                up[0] = a[1];
                up[1] = (uint8_t)(a[0] - a[1]);
                up[2] = (uint8_t)(a[2] - a[1]);
            }
            for (uint32_t c = 0; c < channels; c++)
                got[c] = (uint8_t)(from[c * plane] + predicted(left[c], up[c], corner[c], i->count));
            memcpy(left, got, 3);
            memcpy(corner, up, 3);
            if (channels == 1) {
                to[0] = got[0];
            } else {
                to[0] = (uint8_t)(got[1] + got[0]);
                to[1] = got[0];
                to[2] = (uint8_t)(got[2] + got[0]);
                to[3] = 0;
            }
        }
    }
}

static void fill(const struct kju_picture *p, const struct item *i) {
    for (uint32_t y = 0; y < i->rect.height; y++) {
        uint8_t *to = pixel_at(p, i->rect.x, i->rect.y + y);
        for (uint32_t x = 0; x < i->rect.width; x++, to += p->pixel)
            set_pixel(to, i->colours, p->pixel);
    }
}

void kju_unpack(const uint8_t *bytes, size_t size, const struct kju_picture *p) {
    struct input in = {.at = bytes, .end = bytes + size};
    while (in.at < in.end && !in.failed) {
        struct item i = next_item(&in, p);
        if (in.failed)
            return;
        switch (i.kind) {
        case KJU_FILL:
            fill(p, &i);
            break;
        case KJU_COPY:
            kju_copy_within(p, &i.rect, i.x, i.y);
            break;
        case KJU_PALETTE:
        case KJU_TABLE:
            draw_indexed(p, &i);
            break;
        default:
            draw_predicted(p, &i);
        }
    }
}
