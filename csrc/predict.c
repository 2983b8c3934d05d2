#include "predict.h"

#include "picture.h"

/* Each predictor has a loop of its own over rows of one channel: a test of the predictor within the
 * loop, and channels that lie side by side, cost ten times as much. */

void kju_split_row(const struct kju_picture *p, struct kju_rect r, uint32_t y, uint8_t *to) {
    const uint8_t *at = kju_pixel_at(p, r.x, r.y + y);
    if (p->pixel == 1) {
        memcpy(to, at, r.width);
        return;
    }
    uint8_t *restrict green = to, *restrict blue = to + r.width, *restrict red = to + 2 * r.width;
    for (uint32_t x = 0; x < r.width; x++) {
        uint32_t colour = kju_load_colour(at + (size_t)x * 4);
        green[x] = (uint8_t)(colour >> 8);
        blue[x] = (uint8_t)(colour - (colour >> 8));
        red[x] = (uint8_t)((colour >> 16) - (colour >> 8));
    }
}

void kju_join_row(const struct kju_picture *p, struct kju_rect r, uint32_t y, const uint8_t *from) {
    uint8_t *restrict to = kju_pixel_at(p, r.x, r.y + y);
    if (p->pixel == 1) {
        memcpy(to, from, r.width);
        return;
    }
    const uint8_t *green = from, *blue = from + r.width, *red = from + 2 * r.width;
    for (uint32_t x = 0; x < r.width; x++) {
        uint32_t b = (uint8_t)(blue[x] + green[x]), e = (uint8_t)(red[x] + green[x]);
        kju_store_colour(to + (size_t)x * 4, b | (uint32_t)green[x] << 8 | e << 16);
    }
}

static inline uint8_t smaller(uint8_t a, uint8_t b) { return a < b ? a : b; }
static inline uint8_t larger(uint8_t a, uint8_t b) { return a > b ? a : b; }

/* The median of left, up and left + up - corner. With the corner clamped between the two others the
 * sum is the median in each of the three cases, and no case needs a jump. */
static inline uint8_t median(uint8_t left, uint8_t up, uint8_t corner) {
    uint8_t low = smaller(left, up), high = larger(left, up);
    return (uint8_t)(left + up - smaller(larger(corner, low), high));
}

void kju_residuals(const uint8_t *row, const uint8_t *above, uint32_t width, uint32_t how,
                   uint8_t *restrict to) {
    if (how == KJU_UP) {
        for (uint32_t x = 0; x < width; x++)
            to[x] = (uint8_t)(row[x] - above[x]);
    } else if (how == KJU_LEFT) {
        to[0] = row[0];
        for (uint32_t x = 1; x < width; x++)
            to[x] = (uint8_t)(row[x] - row[x - 1]);
    } else {
        to[0] = (uint8_t)(row[0] - median(0, above[0], 0));
        for (uint32_t x = 1; x < width; x++)
            to[x] = (uint8_t)(row[x] - median(row[x - 1], above[x], above[x - 1]));
    }
}

/* Each pixel needs the one before it, in the channel: three channels at once are three chains that
 * the processor follows side by side. */
static void restore_left(const uint8_t *r, size_t plane, uint32_t width, uint8_t *restrict to) {
    uint8_t a = 0, b = 0, c = 0;
    for (uint32_t x = 0; x < width; x++) {
        to[x] = a = (uint8_t)(a + r[x]);
        to[width + x] = b = (uint8_t)(b + r[plane + x]);
        to[2 * (size_t)width + x] = c = (uint8_t)(c + r[2 * plane + x]);
    }
}

static void restore_median(const uint8_t *r, size_t plane, const uint8_t *above, uint32_t width,
                           uint8_t *restrict to) {
    const uint8_t *r1 = r + plane, *r2 = r1 + plane;
    const uint8_t *above1 = above + width, *above2 = above1 + width;
    uint8_t *to1 = to + width, *to2 = to1 + width;
    uint8_t a = 0, b = 0, c = 0, a_corner = 0, b_corner = 0, c_corner = 0;
    for (uint32_t x = 0; x < width; x++) {
        to[x] = a = (uint8_t)(r[x] + median(a, above[x], a_corner));
        to1[x] = b = (uint8_t)(r1[x] + median(b, above1[x], b_corner));
        to2[x] = c = (uint8_t)(r2[x] + median(c, above2[x], c_corner));
        a_corner = above[x];
        b_corner = above1[x];
        c_corner = above2[x];
    }
}

static void restore_grey(const uint8_t *r, const uint8_t *above, uint32_t width, uint32_t how,
                         uint8_t *restrict to) {
    uint8_t left = 0, corner = 0;
    if (how == KJU_LEFT) {
        for (uint32_t x = 0; x < width; x++)
            to[x] = left = (uint8_t)(left + r[x]);
        return;
    }
    for (uint32_t x = 0; x < width; x++) {
        to[x] = left = (uint8_t)(r[x] + median(left, above[x], corner));
        corner = above[x];
    }
}

void kju_restore(const uint8_t *residuals, size_t plane, const uint8_t *above, uint32_t width,
                 uint32_t channels, uint32_t how, uint8_t *restrict to) {
    if (how == KJU_UP) {
        for (uint32_t c = 0; c < channels; c++, to += width, above += width, residuals += plane)
            for (uint32_t x = 0; x < width; x++)
                to[x] = (uint8_t)(residuals[x] + above[x]);
    } else if (channels == 1) {
        restore_grey(residuals, above, width, how, to);
    } else if (how == KJU_LEFT) {
        restore_left(residuals, plane, width, to);
    } else {
        restore_median(residuals, plane, above, width, to);
    }
}
