/* Pixels of a picture, one at a time, and lists that grow: shared by the files behind pixels.h. */
#ifndef KJU_PICTURE_H
#define KJU_PICTURE_H

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "pixels.h"

static inline uint8_t *kju_pixel_at(const struct kju_picture *p, uint32_t x, uint32_t y) {
    return p->bytes + (size_t)y * p->stride + (size_t)x * p->pixel;
}

/* Bytes that a colour has on the wire: B G R, or grey. */
static inline uint32_t kju_channels(const struct kju_picture *p) { return p->pixel == 1 ? 1 : 3; }

/* The colour of a pixel of 4 bytes. One load: the fourth byte lies in the picture too. */
static inline uint32_t kju_load_colour(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value) & 0xffffff;
}

static inline void kju_store_colour(uint8_t *to, uint32_t colour) {
    colour = htole32(colour);
    memcpy(to, &colour, sizeof colour);
}

static inline uint32_t kju_colour_at(const struct kju_picture *p, uint32_t x, uint32_t y) {
    const uint8_t *at = kju_pixel_at(p, x, y);
    return p->pixel == 1 ? at[0] : kju_load_colour(at);
}

static inline uint64_t kju_area(struct kju_rect r) { return (uint64_t)r.width * r.height; }

/* Return memory for `needed` elements of `each` bytes; if that fails, the old memory and `failed`. */
static inline void *kju_grow(void *at, size_t *room, size_t needed, size_t each, int *failed) {
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

static inline void kju_put_rect(struct kju_rects *out, struct kju_rect rect) {
    if (!out->failed)
        out->at = kju_grow(out->at, &out->room, out->size + 1, sizeof rect, &out->failed);
    if (!out->failed)
        out->at[out->size++] = rect;
}

#endif
