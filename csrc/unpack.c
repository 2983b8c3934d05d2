#include "picture.h"
#include "predict.h"

enum { COLOURS = KJU_COLOURS };

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
    uint32_t count; /* colours of a FILL, PALETTE or the TABLE, predictor of PREDICT */
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

/* Read the next item and check every number of it; an invalid one sets `failed` in `in`. */
static struct item next_item(struct input *in, const struct kju_picture *p) {
    struct item i = {.kind = get_byte(in)};
    uint32_t channels = kju_channels(p);
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
        i.count = 1;
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
        i.bits = kju_bits_for(i.count);
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
    uint64_t left = (uint64_t)p->width * p->height * KJU_MAX_PASSES;
    while (in.at < in.end) {
        *at = (size_t)(in.at - bytes);
        struct item i = next_item(&in, p);
        if (in.failed)
            return KJU_E_FORMAT;
        /* A fill of the whole picture has 8 bytes, and compresses to less than one. */
        if (rects->size == KJU_MAX_ITEMS || kju_area(i.rect) > left)
            return KJU_E_WORK;
        left -= kju_area(i.rect);
        kju_put_rect(rects, i.rect);
    }
    return KJU_OK;
}

/* Colours as pixels of 4 bytes; numbers above the last colour's have the first colour, so that any
 * byte is valid. */
static void spread_colours(const struct item *i, uint32_t channels, uint32_t *to) {
    for (uint32_t n = 0; n < COLOURS; n++) {
        const uint8_t *c = i->colours + (size_t)(n < i->count ? n : 0) * channels;
        to[n] = channels == 1 ? c[0] : c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16;
    }
}

static inline void set_pixel(uint8_t *to, uint32_t colour, uint32_t pixel) {
    if (pixel == 1)
        *to = (uint8_t)colour;
    else
        kju_store_colour(to, colour);
}

static inline void draw_row(uint8_t *to, const uint8_t *from, uint32_t width, uint32_t bits,
                            const uint32_t *colours, uint32_t pixel) {
    uint32_t mask = (1u << bits) - 1, byte = 0, left = 0;
    for (uint32_t x = 0; x < width; x++, to += pixel) {
        if (!left) {
            byte = *from++;
            left = 8;
        }
        set_pixel(to, colours[byte & mask], pixel);
        byte >>= bits;
        left -= bits;
    }
}

static void draw_indexed(const struct kju_picture *p, const struct item *i) {
    uint32_t colours[COLOURS], each = 8 / i->bits, width = i->rect.width;
    size_t row = ((size_t)width + each - 1) / each;
    spread_colours(i, kju_channels(p), colours);
    for (uint32_t y = 0; y < i->rect.height; y++) {
        uint8_t *to = kju_pixel_at(p, i->rect.x, i->rect.y + y);
        const uint8_t *from = i->data + y * row;
        if (i->bits == 8) /* the most frequent case, without the inner loop */
            for (uint32_t x = 0; x < width; x++)
                set_pixel(to + (size_t)x * p->pixel, colours[from[x]], p->pixel);
        else
            draw_row(to, from, width, i->bits, colours, p->pixel);
    }
}

/* `scratch` holds two rows of the rectangle's channels. */
static void draw_predicted(const struct kju_picture *p, const struct item *i, uint8_t *scratch) {
    uint32_t channels = kju_channels(p), width = i->rect.width;
    size_t plane = (size_t)width * i->rect.height, row = (size_t)width * channels;
    uint8_t *above = scratch, *here = scratch + row;
    memset(above, 0, row);
    for (uint32_t y = 0; y < i->rect.height; y++) {
        kju_restore(i->data + (size_t)y * width, plane, above, width, channels, i->count, here);
        kju_join_row(p, i->rect, y, here);
        uint8_t *other = above;
        above = here;
        here = other;
    }
}

static void fill(const struct kju_picture *p, const struct item *i) {
    uint32_t colours[COLOURS], width = i->rect.width;
    uint8_t *first = kju_pixel_at(p, i->rect.x, i->rect.y);
    spread_colours(i, kju_channels(p), colours);
    for (uint32_t x = 0; x < width; x++)
        set_pixel(first + (size_t)x * p->pixel, colours[0], p->pixel);
    for (uint32_t y = 1; y < i->rect.height; y++)
        memcpy(kju_pixel_at(p, i->rect.x, i->rect.y + y), first, (size_t)width * p->pixel);
}

void kju_copy_within(const struct kju_picture *p, const struct kju_rect *to, uint32_t x, uint32_t y) {
    size_t bytes = (size_t)to->width * p->pixel;
    for (uint32_t i = 0; i < to->height; i++) {
        uint32_t row = to->y > y ? to->height - 1 - i : i; /* read each row before it is overwritten */
        memmove(kju_pixel_at(p, to->x, to->y + row), kju_pixel_at(p, x, y + row), bytes);
    }
}

int kju_unpack(const uint8_t *bytes, size_t size, const struct kju_picture *p) {
    struct input in = {.at = bytes, .end = bytes + size};
    uint8_t *scratch = malloc(2 * (size_t)p->width * kju_channels(p));
    if (!scratch)
        return KJU_E_MEMORY;
    while (in.at < in.end && !in.failed) {
        struct item i = next_item(&in, p);
        if (in.failed)
            break;
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
            draw_predicted(p, &i, scratch);
        }
    }
    free(scratch);
    return KJU_OK;
}
