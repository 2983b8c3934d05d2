/* damage.c and convert.c: the published pixels equal the source, the rectangles are exactly the
 * newer tiles, and no byte outside a source or surface is accessed (the sanitizer checks). */
#include "damage.h"
#include "test.h"

static const char *const names[] = {"xrgb8888", "xbgr8888", "bgrx8888", "rgb888",
                                    "bgr888",   "rgb565",   "xrgb1555", "r8"};

static uint64_t seed = 11;
static uint32_t below(uint32_t limit) { return (uint32_t)(next_random(&seed) % limit); }

struct picture {
    uint8_t *bytes;
    struct kju_source source;
};

/* Random pixels in memory that ends with the last pixel of the last row. */
static struct picture make_picture(uint32_t width, uint32_t height, const char *name) {
    struct picture p = {0};
    p.source.format = kju_find_in(name);
    CHECK(p.source.format);
    p.source.offset = below(20);
    p.source.stride = (uint64_t)width * p.source.format->bytes + below(9);
    p.source.size = p.source.offset + p.source.stride * (height - 1) +
                    (uint64_t)width * p.source.format->bytes;
    p.bytes = malloc(p.source.size);
    CHECK(p.bytes);
    for (size_t i = 0; i < p.source.size; i++)
        p.bytes[i] = (uint8_t)next_random(&seed);
    p.source.bytes = p.bytes;
    return p;
}

/* The expected XR24 pixel, computed from the format's definition. */
static void expected(const struct kju_source *s, uint32_t x, uint32_t y, uint8_t out[4]) {
    const uint8_t *p = s->bytes + s->offset + y * s->stride + (uint64_t)x * s->format->bytes;
    const char *name = s->format->name;
    uint32_t word = p[0];
    if (s->format->bytes > 1)
        word |= (uint32_t)p[1] << 8;
    memset(out, 0, 4);
    if (!strcmp(name, "xrgb8888"))
        memcpy(out, p, 4);
    else if (!strcmp(name, "xbgr8888"))
        out[0] = p[2], out[1] = p[1], out[2] = p[0];
    else if (!strcmp(name, "bgrx8888"))
        out[0] = p[3], out[1] = p[2], out[2] = p[1];
    else if (!strcmp(name, "rgb888"))
        out[0] = p[0], out[1] = p[1], out[2] = p[2];
    else if (!strcmp(name, "bgr888"))
        out[0] = p[2], out[1] = p[1], out[2] = p[0];
    else if (!strcmp(name, "rgb565")) {
        out[0] = (uint8_t)((word & 31) << 3 | (word & 31) >> 2);
        out[1] = (uint8_t)((word >> 5 & 63) << 2 | (word >> 5 & 63) >> 4);
        out[2] = (uint8_t)((word >> 11) << 3 | (word >> 11) >> 2);
    } else if (!strcmp(name, "xrgb1555")) {
        uint32_t parts[3] = {word & 31, word >> 5 & 31, word >> 10 & 31};
        for (int i = 0; i < 3; i++)
            out[i] = (uint8_t)(parts[i] << 3 | parts[i] >> 2);
    } else
        out[0] = p[0];
}

static void check_pixels(const struct kju_writer *w, const struct kju_rect *r,
                         const struct kju_source *s) {
    uint32_t bytes = kju_bytes_per_pixel(w->mode.fourcc);
    for (uint32_t y = 0; y < r->height; y++)
        for (uint32_t x = 0; x < r->width; x++) {
            uint8_t want[4];
            expected(s, x, y, want);
            const uint8_t *have = kju_pixels(w->memory, &w->layout) +
                                  (uint64_t)(r->y + y) * w->mode.stride +
                                  (uint64_t)(r->x + x) * bytes;
            CHECK(!memcmp(want, have, bytes));
        }
}

/* The rectangles cover exactly the tiles newer than `since`, none of them twice. */
static void check_rects(const struct kju_writer *w, uint64_t since) {
    const struct kju_mode *m = &w->mode;
    uint32_t side = w->layout.tile_side, columns = kju_tiles_across(m->width, side);
    uint32_t rows = kju_tiles_across(m->height, side);
    struct kju_rect *rects = malloc(kju_most_rects(&w->layout, m) * sizeof *rects);
    uint32_t *starts = malloc(columns * sizeof *starts);
    uint8_t *seen = calloc(columns, rows);
    size_t count = kju_newer_rects(w->memory, &w->layout, m, since, rects, starts);
    CHECK(count <= kju_most_rects(&w->layout, m));
    for (size_t i = 0; i < count; i++) {
        CHECK(kju_check_rect(m, &rects[i]) == KJU_OK && rects[i].x % side == 0);
        CHECK(rects[i].y % side == 0 && rects[i].width && rects[i].height);
        for (uint32_t y = rects[i].y / side; y * side < rects[i].y + rects[i].height; y++)
            for (uint32_t x = rects[i].x / side; x * side < rects[i].x + rects[i].width; x++)
                CHECK(!seen[y * columns + x]++);
    }
    for (uint64_t i = 0; i < (uint64_t)columns * rows; i++)
        CHECK(seen[i] == kju_tile_newer(w->memory, &w->layout, i, since));
    free(seen);
    free(starts);
    free(rects);
}

static struct kju_writer make_writer(uint32_t width, uint32_t height) {
    struct kju_writer w = {0};
    w.memory = make_surface(&w.layout, (uint64_t)width * height * 4, 8u << below(3), 512);
    return w;
}

static void rounds(const char *name) {
    uint32_t width = 1 + below(90), height = 1 + below(70);
    struct kju_writer w = make_writer(width, height);
    struct picture p = make_picture(width, height, name);
    struct kju_mode mode = make_mode(width, height, strcmp(name, "r8") ? KJU_XR24 : KJU_R8);
    struct kju_rect whole = {0, 0, width, height};
    CHECK(kju_writer_mode(&w, mode, &p.source) == KJU_OK);
    check_pixels(&w, &whole, &p.source);
    for (int i = 0; i < 20; i++) {
        uint64_t since = kju_version(w.memory), changed;
        /* A frame with some different bytes: equal afterwards, and a second comparison finds nothing. */
        for (uint32_t n = below(5); n--;)
            p.bytes[below((uint32_t)p.source.size)] ^= (uint8_t)(1u << below(8));
        CHECK(kju_writer_compare(&w, &p.source, NULL, 0, &changed) == KJU_OK);
        check_pixels(&w, &whole, &p.source);
        CHECK(kju_version(w.memory) == since + (changed != 0));
        check_rects(&w, since);
        CHECK(kju_writer_compare(&w, &p.source, NULL, 0, &changed) == KJU_OK && !changed);
        /* A rectangle drawn at a random place. */
        struct kju_rect r = {below(width), below(height), 0, 0};
        r.width = 1 + below(width - r.x);
        r.height = 1 + below(height - r.y);
        struct picture part = make_picture(r.width, r.height, name);
        since = kju_version(w.memory);
        CHECK(kju_writer_draw(&w, &r, &part.source) == KJU_OK);
        check_pixels(&w, &r, &part.source);
        check_rects(&w, since);
        free(part.bytes);
        /* A comparison of only this rectangle finds it. */
        CHECK(kju_writer_compare(&w, &p.source, &r, 1, &changed) == KJU_OK);
        check_pixels(&w, &whole, &p.source);
    }
    free(p.bytes);
    free(w.memory);
}

/* With any offset and stride, no byte outside the source is read. */
static void hostile_sources(void) {
    struct kju_writer w = make_writer(40, 30);
    uint8_t bytes[64] = {0};
    struct kju_rect r = {0, 0, 40, 30}, one = {0, 0, 1, 1};
    uint64_t changed;
    struct kju_source s = {bytes, sizeof bytes, 0, 160, kju_find_in("xrgb8888")};
    CHECK(kju_writer_draw(&w, &one, &s) == KJU_E_RECT); /* no mode yet */
    CHECK(kju_writer_compare(&w, &s, NULL, 0, &changed) == KJU_E_RECT);
    CHECK(kju_writer_mode(&w, make_mode(40, 30, KJU_XR24), &s) == KJU_E_RECT);
    CHECK(kju_version(w.memory) == 0);
    CHECK(kju_writer_mode(&w, make_mode(40, 30, KJU_XR24), NULL) == KJU_OK);
    uint64_t version = kju_version(w.memory);
    static const uint64_t values[] = {0,         1,          64,         65,        159,
                                      160,       UINT32_MAX, UINT64_MAX, 1ull << 63, UINT64_MAX - 64,
                                      1ull << 32};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            s.offset = values[i];
            s.stride = values[j];
            CHECK(kju_writer_draw(&w, &r, &s) == KJU_E_RECT);
            CHECK(kju_writer_compare(&w, &s, NULL, 0, &changed) == KJU_E_RECT);
            struct kju_rect none = {3, 3, 0, 0};
            CHECK(kju_version(w.memory) == version);
            CHECK(kju_writer_draw(&w, &none, &s) == KJU_OK);
            version = kju_version(w.memory);
        }
    struct kju_rect outside = {39, 0, 2, 1};
    s = (struct kju_source){bytes, sizeof bytes, 0, 8, kju_find_in("xrgb8888")};
    CHECK(kju_writer_draw(&w, &outside, &s) == KJU_E_RECT);
    CHECK(kju_writer_compare(&w, &s, &outside, 1, &changed) == KJU_E_RECT);
    s.format = kju_find_in("r8"); /* one byte does not convert to four */
    CHECK(kju_writer_draw(&w, &one, &s) == KJU_E_RECT);
    CHECK(kju_version(w.memory) == version);
    CHECK(!kju_find_in("") && !kju_find_in("XRGB8888") && !kju_find_out("bgr"));
    free(w.memory);
}

/* Every length, to cover the remainders of the vector code, from and to memory of exactly that
 * length and of every alignment. */
static void conversions_out(void) {
    static const char *const outs[] = {"rgb", "rgba", "grey"};
    for (size_t f = 0; f < 3; f++)
        for (size_t pixels = 0; pixels < 150; pixels++) {
            const struct kju_format_out *format = kju_find_out(outs[f]);
            size_t shift = pixels % 4;
            uint8_t *from = malloc(pixels * 4 + shift + 1);
            uint8_t *to = malloc(pixels * format->channels + shift + 1);
            for (size_t i = 0; i < pixels * 4 + shift; i++)
                from[i] = (uint8_t)next_random(&seed);
            to[pixels * format->channels + shift] = 0xa5;
            format->row(to + shift, from + shift, pixels);
            for (size_t i = 0; i < pixels; i++) {
                const uint8_t *p = from + shift + 4 * i, *o = to + shift + i * format->channels;
                if (format->channels == 1)
                    CHECK(o[0] == (29 * p[0] + 150 * p[1] + 77 * p[2] + 128) >> 8);
                else
                    CHECK(o[0] == p[2] && o[1] == p[1] && o[2] == p[0]);
                CHECK(format->channels != 4 || o[3] == 255);
            }
            CHECK(to[pixels * format->channels + shift] == 0xa5);
            free(from);
            free(to);
        }
}

int main(void) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int round = 0; round < 12; round++)
            rounds(names[i]);
    hostile_sources();
    conversions_out();
    return 0;
}
