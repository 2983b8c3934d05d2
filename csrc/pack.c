#include "picture.h"
#include "predict.h"

/* Colours of a palette; a number of a pixel has 8 bits at most. */
enum { COLOURS = KJU_COLOURS, BUCKETS = 1024 };
/* With more colours than this a rectangle uses the block's table. */
enum { FEW = 16 };

static uint8_t *take(struct kju_bytes *out, size_t size) {
    out->at = out->failed ? out->at
                          : kju_grow(out->at, &out->room, out->size + size, 1, &out->failed);
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

struct palette {
    uint32_t colours[COLOURS], count;
    uint16_t buckets[BUCKETS]; /* number of a colour + 1 */
};

/* Return the bucket of a colour, or the free one for it. */
static uint32_t bucket_of(const struct palette *p, uint32_t colour) {
    uint32_t bucket = (colour * 2654435761u) >> 22;
    while (p->buckets[bucket] && p->colours[p->buckets[bucket] - 1] != colour)
        bucket = (bucket + 1) % BUCKETS;
    return bucket;
}

/* Return the number of a colour, and add it if it is new; COLOURS if the palette is full. */
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

/* Collect the colours of a rectangle, and the number of each pixel's colour; 0 if a palette cannot
 * hold them, or if listing them costs as many bytes as it saves. */
static int gather(const struct kju_picture *p, struct kju_rect r, struct palette *found,
                  uint8_t *numbers) {
    uint64_t most = kju_area(r) / 4 + 2;
    memset(found->buckets, 0, sizeof found->buckets);
    found->count = 0;
    uint32_t last = kju_colour_at(p, r.x, r.y), number = number_of(found, last);
    for (uint32_t y = 0; y < r.height; y++) {
        const uint8_t *at = kju_pixel_at(p, r.x, r.y + y);
        for (uint32_t x = 0; x < r.width; x++, at += p->pixel) {
            uint32_t colour = p->pixel == 1 ? *at : kju_load_colour(at);
            if (colour != last) {
                number = number_of(found, colour);
                if (number == COLOURS || found->count > most)
                    return 0;
                last = colour;
            }
            *numbers++ = (uint8_t)number;
        }
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

/* Pack the numbers of one row into bytes; returns the end. A constant `bits` unrolls the loop. */
static inline uint8_t *put_row(const uint8_t *numbers, uint32_t width, uint32_t bits, uint8_t *to) {
    uint32_t each = 8 / bits, x = 0;
    for (; x + each <= width; x += each) {
        uint32_t byte = 0;
        for (uint32_t i = 0; i < each; i++)
            byte |= (uint32_t)numbers[x + i] << (i * bits);
        *to++ = (uint8_t)byte;
    }
    uint32_t byte = 0;
    for (uint32_t i = 0; x + i < width; i++)
        byte |= (uint32_t)numbers[x + i] << (i * bits);
    if (x < width)
        *to++ = (uint8_t)byte;
    return to;
}

/* Write the numbers of a rectangle's pixels in its own palette. */
static void put_indices(const uint8_t *numbers, struct kju_rect r, uint32_t bits,
                        struct kju_bytes *out) {
    uint32_t each = 8 / bits;
    uint8_t *to = take(out, ((size_t)r.width + each - 1) / each * r.height);
    for (uint32_t y = 0; to && y < r.height; y++, numbers += r.width) {
        switch (bits) {
        case 1:
            to = put_row(numbers, r.width, 1, to);
            break;
        case 2:
            to = put_row(numbers, r.width, 2, to);
            break;
        case 4:
            to = put_row(numbers, r.width, 4, to);
            break;
        default:
            memcpy(to, numbers, r.width);
            to += r.width;
        }
    }
}

/* Write the numbers of a rectangle's pixels in the block's table. */
static void put_table_indices(const uint8_t *numbers, struct kju_rect r, const struct palette *own,
                              const struct palette *table, struct kju_bytes *out) {
    uint8_t in_table[COLOURS] = {0};
    size_t pixels = (size_t)kju_area(r);
    for (uint32_t i = 0; i < own->count; i++)
        in_table[i] = (uint8_t)(table->buckets[bucket_of(table, own->colours[i])] - 1);
    uint8_t *to = take(out, pixels);
    for (size_t i = 0; to && i < pixels; i++)
        to[i] = in_table[numbers[i]];
}

/* Return the sum of the absolute residuals of a row. */
static uint32_t weight(const uint8_t *bytes, size_t size) {
    uint32_t sum = 0; /* 65,535 times 128 at most */
    for (size_t i = 0; i < size; i++) {
        uint8_t less = (uint8_t)-bytes[i];
        sum += bytes[i] < less ? bytes[i] : less;
    }
    return sum;
}

static void pack_predicted(const struct kju_picture *p, struct kju_rect r, struct kju_bytes *out) {
    uint32_t channels = kju_channels(p);
    size_t row = (size_t)r.width * channels, plane = (size_t)r.width * r.height;
    uint8_t *rows = calloc(3, row);
    if (!rows) {
        out->failed = 1;
        return;
    }
    uint8_t *above = rows, *here = rows + row, *scratch = rows + 2 * row;
    uint64_t costs[KJU_PREDICTORS] = {0};
    for (uint32_t y = 1; y < r.height; y += 4) { /* a quarter of the rows is a sufficient sample */
        kju_split_row(p, r, y - 1, above);
        kju_split_row(p, r, y, here);
        for (uint32_t how = 0; how < KJU_PREDICTORS; how++)
            for (uint32_t c = 0; c < channels; c++) {
                kju_residuals(here + c * r.width, above + c * r.width, r.width, how, scratch);
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
        kju_split_row(p, r, y, here);
        for (uint32_t c = 0; c < channels; c++)
            kju_residuals(here + c * r.width, above + c * r.width, r.width, best,
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

/* Add the colours of a palette to the table; 0 if it cannot hold them. */
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
                     struct palette *table, uint8_t *numbers, struct kju_bytes *out) {
    uint32_t before = table->count;
    if (!gather(p, r, own, numbers)) {
        put_place(out, KJU_PREDICT, &r);
        pack_predicted(p, r, out);
    } else if (own->count == 1) {
        put_place(out, KJU_FILL, &r);
        put_colour(out, own->colours[0], p->pixel);
    } else if (own->count > FEW && join(table, own)) {
        put_place(out, KJU_TABLE, &r);
        put_varint(out, table->count - before);
        put_colours(table, before, p->pixel, out);
        put_table_indices(numbers, r, own, table, out);
    } else {
        put_place(out, KJU_PALETTE, &r);
        put_byte(out, (uint8_t)(own->count - 1));
        put_colours(own, 0, p->pixel, out);
        put_indices(numbers, r, kju_bits_for(own->count), out);
    }
}

void kju_pack(const struct kju_picture *p, const struct kju_rect *rects, size_t count,
              struct kju_bytes *out) {
    size_t most = 1;
    for (size_t i = 0; i < count; i++)
        most = kju_area(rects[i]) > most ? (size_t)kju_area(rects[i]) : most;
    struct palette *palettes = calloc(2, sizeof *palettes);
    uint8_t *numbers = malloc(most);
    out->failed = out->failed || !palettes || !numbers;
    for (size_t i = 0; i < count && !out->failed; i++)
        pack_one(p, rects[i], &palettes[0], &palettes[1], numbers, out);
    free(palettes);
    free(numbers);
}

void kju_pack_copy(const struct kju_rect *to, uint32_t x, uint32_t y, struct kju_bytes *out) {
    put_place(out, KJU_COPY, to);
    put_varint(out, x);
    put_varint(out, y);
}
