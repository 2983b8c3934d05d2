/* Pixels for the wire: which parts of a picture differ from another, and rectangles of pixels as
 * few bytes and back. Knows nothing of Python, surfaces, or what compresses the bytes further.
 *
 * A block is what one segment carries:
 *
 *     items, each: kind (1 byte), x, y, width - 1, height - 1 (varints), then by its kind:
 *       FILL     one colour
 *       COPY     x and y of where the pixels are copied from (varints)
 *       PALETTE  number of colours - 1 (1 byte), the colours, then for each row the pixels'
 *                numbers of 1, 2, 4 or 8 bits, the first in the lowest bits, rows ending on bytes
 *       PREDICT  predictor (1 byte), then for each channel width x height residuals
 *       TABLE    number of colours that are added to the block's table (varint), these, then the
 *                pixels' numbers in the table, a byte each
 *
 * A varint has 7 bits in each byte, the lowest first; its last byte is below 128. A colour has 3
 * bytes, blue first, or 1 where a pixel has one. Items are done one after the other; COPY may
 * overlap itself. With PREDICT and 3 channels the first is green, the others are blue and red
 * less green. What lies outside of the rectangle is predicted as 0. */
#ifndef KJU_PIXELS_H
#define KJU_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#include "kju/surface.h"

enum { KJU_FILL = 0, KJU_COPY = 1, KJU_PALETTE = 2, KJU_PREDICT = 3, KJU_TABLE = 4 };
enum { KJU_LEFT = 0, KJU_UP = 1, KJU_MEDIAN = 2, KJU_PREDICTORS = 3 };

/* The most work that one block may ask for. A block of 300 compressed bytes can hold half a million
 * fills of the whole picture, so its length says nothing about that.
 * KJU_MAX_PASSES: how often all items together may cover the picture. An encoder draws each pixel
 * once, after three moves at most, each of which copies the whole picture at most. The most seen in
 * the traces of `python -m benchmarks wire` is 0.98 of the picture, and 56 items.
 * KJU_MAX_ITEMS: kju's encoder takes 256 tiles of 64 x 64 pixels a block, in which the rows of cells
 * have two runs each: 4,096 rectangles. With more it sends the tiles whole. */
enum { KJU_MAX_PASSES = 4, KJU_MAX_ITEMS = 4096 };
/* Results beside those of kju/surface.h: a block asks for more; there is no memory. */
enum { KJU_E_WORK = -32, KJU_E_MEMORY = -33 };

/* Colours of a palette or of a block's table. */
enum { KJU_COLOURS = 256 };
/* Bits of a number in a palette of so many colours. */
static inline uint32_t kju_bits_for(uint32_t count) {
    return count <= 2 ? 1 : count <= 4 ? 2 : count <= 16 ? 4 : 8;
}

struct kju_picture {
    uint8_t *bytes;
    size_t stride;
    uint32_t width, height, pixel; /* pixel: bytes, 4 (the last is nothing) or 1 */
};

struct kju_bytes { /* grows; after `failed` nothing more is taken */
    uint8_t *at;
    size_t size, room;
    int failed;
};

struct kju_rects {
    struct kju_rect *at;
    size_t size, room;
    int failed;
};

/* Append the parts of `rects` in which `old` and `now` differ, as rectangles that hold little
 * else. They may overlap. Rectangles lie inside both pictures, which have one form. */
void kju_trim(const struct kju_picture *old, const struct kju_picture *now,
              const struct kju_rect *rects, size_t count, struct kju_rects *out);

/* Whether `now` shows within `rect` what `old` shows (x, y) further: finds the move that explains
 * most of the rectangle, as when a text scrolls or a window is dragged. `to` is what has arrived;
 * a few rows of it may show something else.
 * Returns 0 where nothing worth telling has moved. */
int kju_find_move(const struct kju_picture *old, const struct kju_picture *now,
                  const struct kju_rect *rect, struct kju_rect *to, uint32_t *x, uint32_t *y);

/* Append rectangles of the picture as items. A block takes them all at once: its table is made of
 * them. */
void kju_pack(const struct kju_picture *now, const struct kju_rect *rects, size_t count,
              struct kju_bytes *out);
/* Append a move as an item. */
void kju_pack_copy(const struct kju_rect *to, uint32_t x, uint32_t y, struct kju_bytes *out);

/* Move pixels within a picture. The rectangles lie inside it. */
void kju_copy_within(const struct kju_picture *p, const struct kju_rect *to, uint32_t x, uint32_t y);

/* Check a block of items for a picture, without touching that: KJU_OK; KJU_E_FORMAT or KJU_E_WORK
 * with the offset of the item that is wrong, or one too many, in `at`. Appends the items'
 * rectangles. */
int kju_check_block(const uint8_t *bytes, size_t size, const struct kju_picture *p,
                    struct kju_rects *rects, size_t *at);
/* Draw a block that kju_check_block has found right. KJU_E_MEMORY, and nothing is drawn, where
 * there is none for two rows of the picture. */
int kju_unpack(const uint8_t *bytes, size_t size, const struct kju_picture *p);

#endif
