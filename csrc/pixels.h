/* Pixels for the wire: finds the differences of two pictures, encodes rectangles of pixels as few
 * bytes, and decodes them. Independent of Python, surfaces, and the codec that compresses further.
 *
 * A segment carries one block:
 *
 *     items, each: kind (1 byte), x, y, width - 1, height - 1 (varints), then by its kind:
 *       FILL     one colour
 *       COPY     x and y of the origin of the pixels (varints)
 *       PALETTE  number of colours - 1 (1 byte), the colours, then for each row the pixels'
 *                numbers of 1, 2, 4 or 8 bits, the first in the lowest bits, rows ending on bytes
 *       PREDICT  predictor (1 byte), then for each channel width x height residuals
 *       TABLE    number of colours to add to the block's table (varint), the colours, then the
 *                pixels' numbers in the table, a byte each
 *
 * A varint has 7 bits in each byte, the lowest first; its last byte is below 128. A colour has 3
 * bytes, blue first, or 1 in a grey picture. Items are drawn in order; the rectangles of a COPY may
 * overlap. With PREDICT and 3 channels the first is green, the others are blue and red minus
 * green. Pixels outside the rectangle are predicted as 0. */
#ifndef KJU_PIXELS_H
#define KJU_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#include "kju/surface.h"

enum { KJU_FILL = 0, KJU_COPY = 1, KJU_PALETTE = 2, KJU_PREDICT = 3, KJU_TABLE = 4 };
enum { KJU_LEFT = 0, KJU_UP = 1, KJU_MEDIAN = 2, KJU_PREDICTORS = 3 };

/* Limits of the drawing work of one block. Its length is no limit: 300 compressed bytes can hold
 * half a million fills of the whole picture.
 * KJU_MAX_PASSES: number of times that all items together may cover the picture. An encoder draws
 * each pixel once, after at most three moves, each of which copies at most the whole picture. The
 * maximum in the traces of `python -m benchmarks wire` is 0.98 of the picture, and 56 items.
 * KJU_MAX_ITEMS: kju's encoder puts 256 tiles of 64 x 64 pixels into a block, in which each row of
 * cells has two runs: 4,096 rectangles. With more it sends whole tiles. */
enum { KJU_MAX_PASSES = 4, KJU_MAX_ITEMS = 4096 };
/* Results in addition to those of kju/surface.h: a block exceeds a limit; out of memory. */
enum { KJU_E_WORK = -32, KJU_E_MEMORY = -33 };

/* Colours of a palette or of a block's table. */
enum { KJU_COLOURS = 256 };
/* Bits of a number in a palette of `count` colours. */
static inline uint32_t kju_bits_for(uint32_t count) {
    return count <= 2 ? 1 : count <= 4 ? 2 : count <= 16 ? 4 : 8;
}

struct kju_picture {
    uint8_t *bytes;
    size_t stride;
    uint32_t width, height, pixel; /* pixel: bytes, 4 (the last is undefined) or 1 */
};

struct kju_bytes { /* grows; after `failed` nothing is appended */
    uint8_t *at;
    size_t size, room;
    int failed;
};

struct kju_rects {
    struct kju_rect *at;
    size_t size, room;
    int failed;
};

/* Append the parts of `rects` in which `old` and `now` differ, as rectangles with few
 * equal pixels. They may overlap. `rects` lie inside both pictures, which have the same form. */
void kju_trim(const struct kju_picture *old, const struct kju_picture *now,
              const struct kju_rect *rects, size_t count, struct kju_rects *out);

/* Find the move from `old` to `now` that explains most of `rect`, such as scrolled text or a dragged
 * window. (x, y) is the origin in `old`, `to` the moved rectangle in `now`; a few of its rows may
 * differ. Returns 0 if no move is large enough. */
int kju_find_move(const struct kju_picture *old, const struct kju_picture *now,
                  const struct kju_rect *rect, struct kju_rect *to, uint32_t *x, uint32_t *y);

/* Append rectangles of the picture as items. One call per block, since its table is made from all
 * of them. */
void kju_pack(const struct kju_picture *now, const struct kju_rect *rects, size_t count,
              struct kju_bytes *out);
/* Append a move as an item. */
void kju_pack_copy(const struct kju_rect *to, uint32_t x, uint32_t y, struct kju_bytes *out);

/* Move pixels within a picture. The rectangles lie inside it. */
void kju_copy_within(const struct kju_picture *p, const struct kju_rect *to, uint32_t x, uint32_t y);

/* Check a block of items for a picture, without changing it: KJU_OK; KJU_E_FORMAT or KJU_E_WORK
 * with the offset of the first invalid or excess item in `at`. Appends the items' rectangles. */
int kju_check_block(const uint8_t *bytes, size_t size, const struct kju_picture *p,
                    struct kju_rects *rects, size_t *at);
/* Draw a block that kju_check_block has accepted. KJU_E_MEMORY draws nothing: two rows of the
 * picture could not be allocated. */
int kju_unpack(const uint8_t *bytes, size_t size, const struct kju_picture *p);

#endif
