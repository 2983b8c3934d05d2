/* surface.h on plain memory: layout, modes, publishing, byte ranges, waiting. */
#include "test.h"

static void layouts(void) {
    struct kju_layout l;
    static const uint32_t bad_sides[] = {0, 1, 4, 7, 9, 24, 33, 257, 512, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad_sides / sizeof *bad_sides; i++)
        CHECK(kju_plan(&l, 4096, bad_sides[i], 64, 64) == KJU_E_LAYOUT);
    CHECK(kju_plan(&l, 0, 32, 64, 64) == KJU_E_LAYOUT);
    CHECK(kju_plan(&l, UINT64_MAX, 32, 64, 64) == KJU_E_LAYOUT);
    CHECK(kju_plan(&l, 4096, 32, 0, 64) == KJU_E_LAYOUT);
    CHECK(kju_plan(&l, 4096, 32, 64, KJU_MAX_SIDE + 1) == KJU_E_LAYOUT);
    for (uint32_t side = 8; side <= 256; side *= 2) {
        CHECK(kju_plan(&l, 123457, side, 640, 480) == KJU_OK);
        CHECK(l.pixels_capacity >= 123457 && l.pixels_offset % KJU_PAGE == 0);
        CHECK(kju_check_layout(&l, l.size) == KJU_OK);
        CHECK(kju_check_layout(&l, l.size - 1) == KJU_E_SHORT);
    }
}

/* The tile table has room for every mode within the sides and the capacity. */
static void every_mode_fits(void) {
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        struct kju_layout l;
        uint32_t width = 1 + next_random(&seed) % 700, height = 1 + next_random(&seed) % 700;
        uint32_t fourcc = next_random(&seed) & 1 ? KJU_XR24 : KJU_R8;
        struct kju_mode m = make_mode(width, height, fourcc);
        uint32_t side = 8u << next_random(&seed) % 6;
        CHECK(kju_plan(&l, (uint64_t)m.stride * height, side, width, height) == KJU_OK);
        CHECK(kju_check_mode(&l, &m) == KJU_OK);
    }
}

static void modes(void) {
    struct kju_layout l, checked;
    struct kju_mode m = make_mode(100, 60, KJU_XR24), read;
    void *memory = make_surface(&l, 100 * 60 * 4, 32, 512);
    memset(&checked, 0, sizeof checked); /* its padding is compared too */
    CHECK(kju_check(memory, l.size, &checked) == KJU_OK);
    CHECK(!memcmp(&l, &checked, sizeof l));
    CHECK(kju_read_mode(memory, &l, &read) == KJU_OK && read.epoch == 0);
    publish_mode(memory, &l, &m);
    CHECK(kju_read_mode(memory, &l, &read) == KJU_OK && !memcmp(&m, &read, sizeof m));
    CHECK(m.epoch == 1 && kju_version(memory) == 1);
    struct kju_mode bad[] = {
        {.width = 0, .height = 1, .stride = 4, .fourcc = KJU_XR24},
        {.width = 1, .height = 0, .stride = 4, .fourcc = KJU_XR24},
        {.width = 100, .height = 60, .stride = 399, .fourcc = KJU_XR24},
        {.width = 100, .height = 60, .stride = 402, .fourcc = KJU_XR24},
        {.width = 100, .height = 60, .stride = 400, .fourcc = 0},
        {.width = 100, .height = 100000, .stride = 400, .fourcc = KJU_XR24},
        {.width = 100, .height = 65535, .stride = UINT32_MAX - 3, .fourcc = KJU_XR24},
        {.width = UINT32_MAX, .height = UINT32_MAX, .stride = UINT32_MAX, .fourcc = KJU_R8},
        {.width = 1, .height = 25000, .stride = 1, .fourcc = KJU_R8}, /* exceeds the pixels */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(kju_check_mode(&l, &bad[i]) == KJU_E_MODE);
    /* A mode that no reader can copy is invalid even if the memory has room: a file may be sparse. */
    struct kju_layout huge;
    struct kju_mode most = make_mode(16384, 16384, KJU_XR24), over = make_mode(16385, 16384, KJU_XR24);
    CHECK(kju_plan(&huge, UINT64_C(65535) * 65535 * 4, 32, KJU_MAX_SIDE, KJU_MAX_SIDE) == KJU_OK);
    CHECK(kju_check_mode(&huge, &most) == KJU_OK && kju_check_mode(&huge, &over) == KJU_E_MODE);
    /* A mode whose writer does not finish gives KJU_BUSY, without a wait. */
    kju_lock(&kju_header_of(memory)->mode_sequence);
    CHECK(kju_read_mode(memory, &l, &read) == KJU_BUSY);
    kju_unlock(&kju_header_of(memory)->mode_sequence);
    CHECK(kju_read_mode(memory, &l, &read) == KJU_OK);
    free(memory);
}

/* Only tiles that touch a published rectangle are newer, and only than older versions. */
static void publishing(void) {
    struct kju_layout l;
    struct kju_mode m = make_mode(100, 60, KJU_XR24); /* 4 x 2 tiles of 32 */
    void *memory = make_surface(&l, 100 * 60 * 4, 32, 512);
    publish_mode(memory, &l, &m);
    uint64_t before = kju_version(memory);
    uint32_t pulse = kju_pulse(memory);
    for (uint64_t i = 0; i < 8; i++)
        CHECK(kju_tile_newer(memory, &l, i, before - 1) && !kju_tile_newer(memory, &l, i, before));
    struct kju_rect rect = {31, 31, 2, 1}, outside = {99, 0, 2, 1}, wraps = {1, 0, UINT32_MAX, 1};
    kju_begin(memory);
    CHECK(kju_sequence(memory) & 1);
    CHECK(!kju_same_sequence(memory, kju_sequence(memory)));
    CHECK(kju_publish(memory, &l, &m, &outside, 1) == KJU_E_RECT);
    CHECK(kju_publish(memory, &l, &m, &wraps, 1) == KJU_E_RECT);
    CHECK(kju_version(memory) == before && kju_pulse(memory) == pulse);
    CHECK(kju_publish(memory, &l, &m, &rect, 1) == KJU_OK);
    CHECK(kju_version(memory) == before + 1 && kju_pulse(memory) == pulse + 1);
    CHECK(!(kju_sequence(memory) & 1));
    for (uint64_t i = 0; i < 8; i++)
        CHECK(kju_tile_newer(memory, &l, i, before) == (i == 0 || i == 1));
    struct kju_rect empty = {100, 60, 0, 0};
    CHECK(kju_publish(memory, &l, &m, &empty, 1) == KJU_OK);
    for (uint64_t i = 0; i < 8; i++)
        CHECK(!kju_tile_newer(memory, &l, i, before + 1));
    free(memory);
}

/* Each byte of a range that holds pixels lies in exactly one of its rectangles. */
static void ranges(void) {
    uint64_t seed = 3;
    static const uint32_t fourccs[] = {KJU_XR24, KJU_R8};
    for (int round = 0; round < 4000; round++) {
        uint32_t fourcc = fourccs[round & 1], bytes = kju_bytes_per_pixel(fourcc);
        struct kju_mode m = make_mode(1 + next_random(&seed) % 9, 1 + next_random(&seed) % 7, fourcc);
        m.stride += bytes * (next_random(&seed) % 4);
        uint64_t total = (uint64_t)m.stride * m.height;
        uint64_t start = next_random(&seed) % (total + 1);
        uint64_t length = next_random(&seed) % (total - start + 1);
        struct kju_rect rects[3];
        size_t count = 99;
        CHECK(kju_range_rects(&m, start, length, rects, &count) == KJU_OK && count <= 3);
        for (uint32_t y = 0; y < m.height; y++)
            for (uint32_t x = 0; x < m.width; x++) {
                uint64_t at = (uint64_t)y * m.stride + (uint64_t)x * bytes;
                int touched = length && at < start + length && at + bytes > start, covered = 0;
                for (size_t i = 0; i < count; i++)
                    covered += x - rects[i].x < rects[i].width && y - rects[i].y < rects[i].height;
                CHECK(covered == touched);
            }
        for (size_t i = 0; i < count; i++)
            CHECK(kju_check_rect(&m, &rects[i]) == KJU_OK);
        CHECK(kju_range_rects(&m, total + 1, 0, rects, &count) == KJU_E_RECT);
        CHECK(kju_range_rects(&m, start, total - start + 1, rects, &count) == KJU_E_RECT);
        CHECK(kju_range_rects(&m, 1, UINT64_MAX, rects, &count) == KJU_E_RECT);
    }
}

static void states(void) {
    struct kju_layout l;
    void *memory = make_surface(&l, 4096, 32, 64);
    struct kju_header *h = memory;
    char text[400];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    uint32_t pulse = kju_pulse(memory);
    kju_set_state(memory, KJU_UNAVAILABLE, text);
    CHECK(h->state == KJU_UNAVAILABLE && kju_pulse(memory) == pulse + 1);
    CHECK(h->reason[KJU_REASON_SIZE - 2] == 'x' && h->reason[KJU_REASON_SIZE - 1] == 0);
    CHECK(h->cursor_sequence == 0); /* nothing after the text was written */
    kju_set_state(memory, KJU_LIVE, NULL);
    CHECK(h->state == KJU_LIVE && h->reason[0] == 0 && h->reason[100] == 0);
    free(memory);
}

static void waiting(void) {
    struct kju_layout l;
    void *memory = make_surface(&l, 4096, 32, 64);
    uint32_t pulse = kju_pulse(memory);
    CHECK(kju_wait(memory, pulse + 1, KJU_WAIT_CAP_MS) == EAGAIN);
    CHECK(kju_wait(memory, pulse, 1) == ETIMEDOUT);
    kju_wake(memory);
    CHECK(kju_wait(memory, pulse, KJU_WAIT_CAP_MS) == EAGAIN);
    /* All sleeps are capped; a negative time means the cap. */
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    CHECK(kju_wait(memory, kju_pulse(memory), -1) == ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double slept = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    CHECK(slept >= KJU_WAIT_CAP_MS / 1000.0 * 0.99);
    CHECK(kju_wait(memory, kju_pulse(memory), INT_MAX) == ETIMEDOUT);
    free(memory);
}

int main(void) {
    layouts();
    every_mode_fits();
    modes();
    publishing();
    ranges();
    states();
    waiting();
    return 0;
}
