/* thumbnail.c: each pixel is the rounded average, a part has the pixels of the whole, and no byte
 * outside of the picture or the part is accessed (the sanitizer checks). */
#include "thumbnail.h"
#include "test.h"

static uint64_t seed = 23;
static uint32_t below(uint32_t limit) { return (uint32_t)(next_random(&seed) % limit); }

static uint64_t overlap(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    uint64_t begin = a > c ? a : c, end = b < d ? b : d;
    return begin < end ? end - begin : 0;
}

static uint8_t average(const struct kju_thumbnail *t, uint32_t x, uint32_t y, uint32_t channel) {
    uint64_t sum = 0, area = (uint64_t)t->width * t->height;
    if (t->bytes == 4 && channel == 3)
        return 255;
    for (uint32_t row = 0; row < t->height; row++) {
        uint64_t high = overlap((uint64_t)row * t->to_height, (uint64_t)(row + 1) * t->to_height,
                                (uint64_t)y * t->height, (uint64_t)(y + 1) * t->height);
        for (uint32_t column = 0; high && column < t->width; column++)
            sum += high *
                   overlap((uint64_t)column * t->to_width, (uint64_t)(column + 1) * t->to_width,
                           (uint64_t)x * t->width, (uint64_t)(x + 1) * t->width) *
                   t->from[row * t->stride + column * t->bytes + channel];
    }
    return (uint8_t)((sum + area / 2) / area);
}

static void compare(uint32_t largest) {
    struct kju_thumbnail t = {.bytes = below(2) ? 4 : 1, .width = 1 + below(largest),
                              .height = 1 + below(largest)};
    t.to_width = 1 + below(t.width);
    t.to_height = 1 + below(t.height);
    t.stride = (uint64_t)t.width * t.bytes + below(9);
    t.from_size = t.stride * (t.height - 1) + (uint64_t)t.width * t.bytes;
    t.to_size = (uint64_t)t.to_width * t.to_height * t.bytes;
    t.part.x = below(t.to_width + 1);
    t.part.y = below(t.to_height + 1);
    t.part.width = below(t.to_width - t.part.x + 1);
    t.part.height = below(t.to_height - t.part.y + 1);
    /* Memory of exactly these sizes, so that the sanitizer finds an access one byte beyond. */
    uint8_t *from = malloc(t.from_size), *to = malloc(t.to_size);
    CHECK(from && to);
    for (uint64_t i = 0; i < t.from_size; i++)
        from[i] = (uint8_t)next_random(&seed);
    memset(to, 7, t.to_size);
    t.from = from;
    t.to = to;
    CHECK(kju_make_thumbnail(&t) == KJU_OK);
    for (uint32_t y = 0; y < t.to_height; y++)
        for (uint32_t x = 0; x < t.to_width; x++)
            for (uint32_t channel = 0; channel < t.bytes; channel++) {
                int inside = x >= t.part.x && x < t.part.x + t.part.width && y >= t.part.y &&
                             y < t.part.y + t.part.height;
                uint8_t found = to[((uint64_t)y * t.to_width + x) * t.bytes + channel];
                CHECK(found == (inside ? average(&t, x, y, channel) : 7));
            }
    free(from);
    free(to);
}

static void refuses(struct kju_thumbnail t) {
    CHECK(kju_make_thumbnail(&t) == KJU_E_RECT);
}

static void test_arguments(void) {
    uint8_t from[400] = {0}, to[100] = {0};
    struct kju_thumbnail good = {.from = from, .from_size = 400, .stride = 40, .width = 10,
                                 .height = 10, .bytes = 4, .to = to, .to_size = 100,
                                 .to_width = 5, .to_height = 5, .part = {0, 0, 5, 5}};
    struct kju_thumbnail t = good;
    CHECK(kju_make_thumbnail(&t) == KJU_OK);
#define WRONG(field, value) \
    t = good, t.field = (value), refuses(t)
    WRONG(from_size, 399);
    WRONG(from_size, 0);
    WRONG(stride, 39);
    WRONG(stride, 41);
    WRONG(stride, UINT64_MAX);
    WRONG(width, 0);
    WRONG(width, 11);
    WRONG(width, UINT32_MAX);
    WRONG(height, 0);
    WRONG(height, 11);
    WRONG(height, UINT32_MAX);
    WRONG(bytes, 3);
    WRONG(bytes, 0);
    WRONG(to_size, 99);
    WRONG(to_width, 0);
    WRONG(to_width, 11);
    WRONG(to_height, 0);
    WRONG(to_height, 11);
    WRONG(part.x, 1);
    WRONG(part.y, 1);
    WRONG(part.x, UINT32_MAX);
    WRONG(part.height, UINT32_MAX);
}

int main(void) {
    for (int i = 0; i < 3000; i++)
        compare(i % 10 ? 24 : 90);
    for (int i = 0; i < 3; i++)
        compare(700); /* sums of more than 16 bits */
    test_arguments();
    return 0;
}
