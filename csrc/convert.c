#include "convert.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- Out of XR24 (B, G, R, X in memory) ---- */

static void rgb_plain(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        to[3 * i] = from[4 * i + 2];
        to[3 * i + 1] = from[4 * i + 1];
        to[3 * i + 2] = from[4 * i];
    }
}

#if defined(__x86_64__)
/* 16 pixels in, 48 bytes out: four shuffles that pack 12 bytes each, then three stores.
 * Plain code reaches about a third of a copy's speed, this about all of it. */
__attribute__((target("ssse3"))) static void
rgb_ssse3(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    const __m128i pack =
        _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    size_t i = 0;
    for (; i + 16 <= pixels; i += 16) {
        const __m128i *source = (const __m128i *)(from + 4 * i);
        __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(source), pack);
        __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(source + 1), pack);
        __m128i c = _mm_shuffle_epi8(_mm_loadu_si128(source + 2), pack);
        __m128i d = _mm_shuffle_epi8(_mm_loadu_si128(source + 3), pack);
        __m128i *target = (__m128i *)(to + 3 * i);
        _mm_storeu_si128(target, _mm_or_si128(a, _mm_slli_si128(b, 12)));
        _mm_storeu_si128(target + 1,
                         _mm_or_si128(_mm_srli_si128(b, 4), _mm_slli_si128(c, 8)));
        _mm_storeu_si128(target + 2,
                         _mm_or_si128(_mm_srli_si128(c, 8), _mm_slli_si128(d, 4)));
    }
    rgb_plain(to + 3 * i, from + 4 * i, pixels - i);
}
#endif

static void to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("ssse3")) {
        rgb_ssse3(to, from, pixels);
        return;
    }
#endif
    rgb_plain(to, from, pixels);
}

/* GCC makes vectors from -O3 on, clang from -O2, without an attribute for it. */
#if defined(__x86_64__) && defined(__clang__)
#define WITH_AVX2 __attribute__((target("avx2")))
#elif defined(__x86_64__)
#define WITH_AVX2 __attribute__((target("avx2"), optimize("O3")))
#endif

/* One 32-bit word a pixel, so that the compiler makes vectors of it; once for every
 * processor and once for those with AVX2, which do it six times as fast. */
static inline __attribute__((always_inline)) void
rgba_words(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        uint32_t word;
        memcpy(&word, from + 4 * i, 4);
        word = 0xff000000u | (word & 0xff) << 16 | (word & 0xff00) | (word >> 16 & 0xff);
        memcpy(to + 4 * i, &word, 4);
    }
}

/* Luma of ITU-R BT.601 with weights of 256ths: 77, 150, 29. */
static inline __attribute__((always_inline)) void
grey_words(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        uint32_t word;
        memcpy(&word, from + 4 * i, 4);
        to[i] = (uint8_t)((29 * (word & 0xff) + 150 * (word >> 8 & 0xff) +
                           77 * (word >> 16 & 0xff) + 128) >> 8);
    }
}

#if defined(__x86_64__)
WITH_AVX2 static void
rgba_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    rgba_words(to, from, pixels);
}
WITH_AVX2 static void
grey_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    grey_words(to, from, pixels);
}
#endif

static void to_rgba(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        rgba_avx2(to, from, pixels);
        return;
    }
#endif
    rgba_words(to, from, pixels);
}

static void to_grey(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        grey_avx2(to, from, pixels);
        return;
    }
#endif
    grey_words(to, from, pixels);
}

/* ---- Into XR24 ---- */

/* Pixels of `bytes` bytes, of which blue, green and red are at these places. */
static inline __attribute__((always_inline)) void
reorder(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels, size_t bytes,
        size_t blue, size_t green, size_t red) {
    for (size_t i = 0; i < pixels; i++, from += bytes) {
        to[4 * i] = from[blue];
        to[4 * i + 1] = from[green];
        to[4 * i + 2] = from[red];
        to[4 * i + 3] = 0;
    }
}

static void from_xbgr8888(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    reorder(to, from, pixels, 4, 2, 1, 0);
}

static void from_bgrx8888(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    reorder(to, from, pixels, 4, 3, 2, 1);
}

static void from_rgb888(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    reorder(to, from, pixels, 3, 0, 1, 2);
}

static void from_bgr888(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    reorder(to, from, pixels, 3, 2, 1, 0);
}

/* Five and six bits become eight by repeating their top bits, so that full stays full. */
static uint8_t from_5(uint32_t v) { return (uint8_t)(v << 3 | v >> 2); }
static uint8_t from_6(uint32_t v) { return (uint8_t)(v << 2 | v >> 4); }

static void from_rgb565(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        uint32_t word = from[2 * i] | (uint32_t)from[2 * i + 1] << 8;
        to[4 * i] = from_5(word & 31);
        to[4 * i + 1] = from_6(word >> 5 & 63);
        to[4 * i + 2] = from_5(word >> 11 & 31);
        to[4 * i + 3] = 0;
    }
}

static void from_xrgb1555(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        uint32_t word = from[2 * i] | (uint32_t)from[2 * i + 1] << 8;
        to[4 * i] = from_5(word & 31);
        to[4 * i + 1] = from_5(word >> 5 & 31);
        to[4 * i + 2] = from_5(word >> 10 & 31);
        to[4 * i + 3] = 0;
    }
}

static const struct kju_format_in formats_in[] = {
    {"xrgb8888", 4, NULL},          {"xbgr8888", 4, from_xbgr8888},
    {"bgrx8888", 4, from_bgrx8888}, {"rgb888", 3, from_rgb888},
    {"bgr888", 3, from_bgr888},     {"rgb565", 2, from_rgb565},
    {"xrgb1555", 2, from_xrgb1555}, {"r8", 1, NULL},
};

static const struct kju_format_out formats_out[] = {
    {"bgrx", 4, NULL}, {"rgb", 3, to_rgb}, {"rgba", 4, to_rgba}, {"grey", 1, to_grey},
};

const struct kju_format_in *kju_find_in(const char *name) {
    for (size_t i = 0; i < sizeof formats_in / sizeof *formats_in; i++)
        if (!strcmp(formats_in[i].name, name))
            return &formats_in[i];
    return NULL;
}

const struct kju_format_out *kju_find_out(const char *name) {
    for (size_t i = 0; i < sizeof formats_out / sizeof *formats_out; i++)
        if (!strcmp(formats_out[i].name, name))
            return &formats_out[i];
    return NULL;
}
