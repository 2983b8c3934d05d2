/* Encode and decode pixels, with pictures and with modified blocks. */
#include "../../csrc/pixels.h"

#include "test.h"

static struct kju_picture make(uint32_t width, uint32_t height, uint32_t pixel) {
    /* Of exactly the needed size: the sanitizer finds an access one byte beyond. */
    size_t stride = (size_t)width * pixel + 8, size = stride * (height - 1) + (size_t)width * pixel;
    uint8_t *bytes = malloc(size);
    CHECK(bytes);
    memset(bytes, 0, size);
    return (struct kju_picture){bytes, stride, width, height, pixel};
}

static uint8_t *at(const struct kju_picture *p, uint32_t x, uint32_t y) {
    return p->bytes + y * p->stride + (size_t)x * p->pixel;
}

static void scribble(struct kju_picture *p, uint64_t *seed) {
    uint32_t colours = 1 + (uint32_t)(next_random(seed) % 300);
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++)
            for (uint32_t c = 0; c < p->pixel; c++)
                at(p, x, y)[c] = c == 3 ? 0 : (uint8_t)(next_random(seed) % colours * (c + 3));
}

static struct kju_rect some_rect(const struct kju_picture *p, uint64_t *seed) {
    uint32_t x = (uint32_t)(next_random(seed) % p->width), y = (uint32_t)(next_random(seed) % p->height);
    return (struct kju_rect){x, y, 1 + (uint32_t)(next_random(seed) % (p->width - x)),
                             1 + (uint32_t)(next_random(seed) % (p->height - y))};
}

static void same(const struct kju_picture *a, const struct kju_picture *b) {
    for (uint32_t y = 0; y < a->height; y++)
        for (uint32_t x = 0; x < a->width; x++)
            CHECK(!memcmp(at(a, x, y), at(b, x, y), a->pixel == 1 ? 1 : 3));
}

static void one(uint64_t *seed) {
    uint32_t widest = next_random(seed) % 16 ? 120 : 1100; /* rows longer than a vector */
    uint32_t width = 1 + (uint32_t)(next_random(seed) % widest), height = 1 + (uint32_t)(next_random(seed) % 90);
    uint32_t pixel = next_random(seed) % 4 ? 4 : 1;
    struct kju_picture old = make(width, height, pixel), now = make(width, height, pixel);
    scribble(&old, seed);
    for (uint32_t y = 0; y < height; y++)
        memcpy(at(&now, 0, y), at(&old, 0, y), (size_t)width * pixel);
    struct kju_rect whole = {0, 0, width, height}, moved, r = some_rect(&now, seed);
    struct kju_rect from = {(uint32_t)(next_random(seed) % (width - r.width + 1)),
                            (uint32_t)(next_random(seed) % (height - r.height + 1)), 0, 0};
    kju_copy_within(&now, &r, from.x, from.y);
    memset(at(&now, r.x, r.y), 7, pixel);

    struct kju_bytes block = {0};
    struct kju_rects rects = {0}, found = {0};
    uint32_t x, y;
    if (kju_find_move(&old, &now, &whole, &moved, &x, &y)) {
        kju_pack_copy(&moved, x, y, &block);
        struct kju_picture copied = make(width, height, pixel);
        for (uint32_t i = 0; i < height; i++)
            memcpy(at(&copied, 0, i), at(&old, 0, i), (size_t)width * pixel);
        kju_copy_within(&copied, &moved, x, y);
        kju_trim(&copied, &now, &whole, 1, &rects);
        free(copied.bytes);
    } else {
        kju_trim(&old, &now, &whole, 1, &rects);
    }
    kju_pack(&now, rects.at, rects.size, &block);
    size_t where = 0;
    CHECK(!block.failed && !rects.failed);
    /* In memory of its own size, too. */
    uint8_t *bytes = malloc(block.size ? block.size : 1);
    if (block.size)
        memcpy(bytes, block.at, block.size);
    CHECK(kju_check_block(bytes, block.size, &old, &found, &where) == KJU_OK);
    kju_unpack(bytes, block.size, &old);
    same(&old, &now);
    for (int i = 0; i < 8 && block.size; i++) {
        bytes[next_random(seed) % block.size] = (uint8_t)next_random(seed);
        size_t size = next_random(seed) % 4 ? block.size : next_random(seed) % block.size;
        found.size = 0;
        if (kju_check_block(bytes, size, &old, &found, &where) == KJU_OK)
            kju_unpack(bytes, size, &old);
    }
    free(bytes);
    free(block.at);
    free(rects.at);
    free(found.at);
    free(old.bytes);
    free(now.bytes);
}

/* Items that exceed the limits of a block: too many, or too much drawing. */
static void too_much(void) {
    struct kju_picture p = make(16, 16, 4);
    struct kju_rects found = {0};
    uint8_t fills[8 * (KJU_MAX_PASSES + 1)], dots[8 * (KJU_MAX_ITEMS + 1)] = {0};
    for (size_t i = 0; i < sizeof fills; i += 8)
        memcpy(fills + i, "\0\0\0\17\17abc", 8);
    size_t at = 0;
    CHECK(kju_check_block(fills, sizeof fills - 8, &p, &found, &at) == KJU_OK);
    found.size = 0;
    CHECK(kju_check_block(fills, sizeof fills, &p, &found, &at) == KJU_E_WORK);
    CHECK(at == sizeof fills - 8);
    p.width = p.height = 128;
    found.size = 0;
    CHECK(kju_check_block(dots, sizeof dots - 8, &p, &found, &at) == KJU_OK);
    found.size = 0;
    CHECK(kju_check_block(dots, sizeof dots, &p, &found, &at) == KJU_E_WORK);
    CHECK(at == sizeof dots - 8);
    free(found.at);
    free(p.bytes);
}

int main(void) {
    too_much();
    uint64_t seed = 1;
    for (int i = 0; i < 4000; i++)
        one(&seed);
    return 0;
}
