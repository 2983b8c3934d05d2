#include "thumbnail.h"

#include <stdlib.h>
#include <string.h>

/* Rows first: the rows that a row of the thumbnail covers are added byte by byte, which compilers
 * turn into vectors. Then the columns of these sums.
 *
 * Areas are counted in units in which everything is whole: with the sides divided by their greatest
 * common divisor, a pixel of the picture is `to` units long and one of the thumbnail `from` units.
 * A pixel of the picture that two pixels of the thumbnail share counts for each by its units. */
struct axis {
    uint32_t from, to;
};

/* The pixels of the picture along one axis that a pixel of the thumbnail covers. The first counts
 * `head` units, the last of several `tail`, those between `to`. */
struct span {
    uint32_t first, count, head, tail;
};

static struct axis axis_of(uint32_t from, uint32_t to) {
    uint32_t a = from, b = to;
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return (struct axis){from / a, to / a};
}

static struct span span_of(const struct axis *a, uint32_t at) {
    uint64_t begin = (uint64_t)at * a->from, end = begin + a->from;
    uint64_t first = begin / a->to, last = (end - 1) / a->to;
    uint64_t head = (first + 1) * a->to - begin;
    return (struct span){(uint32_t)first, (uint32_t)(last - first + 1),
                         (uint32_t)(head < a->from ? head : a->from),
                         (uint32_t)(end - last * a->to)};
}

/* Division by a constant below 2^23 of numbers below 256 times that: a multiplication. With
 * m = 2^55 / d + 1, n * m / 2^55 exceeds n / d by n * (m * d - 2^55) / (d * 2^55), and that is less
 * than 1 / d because n * d < 256 * 2^46. */
enum { SHIFT = 55, MOST = 1 << 23 };

struct divisor {
    uint64_t by, half, multiplier; /* multiplier 0: a plain division */
};

static struct divisor divisor_of(uint64_t by) {
    uint64_t multiplier = by <= MOST ? (UINT64_C(1) << SHIFT) / by + 1 : 0;
    return (struct divisor){by, by / 2, multiplier};
}

static inline uint8_t divide(const struct divisor *d, uint64_t sum) {
    sum += d->half;
    return (uint8_t)(d->multiplier ? sum * d->multiplier >> SHIFT : sum / d->by);
}

struct job {
    const struct kju_thumbnail *t;
    struct axis rows;
    const struct span *columns; /* one for each column of the part */
    uint32_t inner;             /* units of a pixel between the first and the last of a span */
    struct divisor divisor;
    size_t first, count; /* bytes of the picture's rows that the part needs */
    void *sums;          /* one for each of these bytes, of 16 or 32 bits */
};

#define INLINE static inline __attribute__((always_inline))

/* The sums of a row have 16 bits where that is enough, which is so at every whole factor up to 257:
 * twice as many fit into a vector. */
#define ADD_ROW(name, sum_t)                                                                       \
    INLINE void name(sum_t *restrict sums, const uint8_t *restrict row, size_t count,              \
                     uint32_t units, int begins) {                                                 \
        if (begins)                                                                                \
            for (size_t i = 0; i < count; i++)                                                     \
                sums[i] = (sum_t)(row[i] * units);                                                 \
        else if (units == 1)                                                                       \
            for (size_t i = 0; i < count; i++)                                                     \
                sums[i] = (sum_t)(sums[i] + row[i]);                                               \
        else                                                                                       \
            for (size_t i = 0; i < count; i++)                                                     \
                sums[i] = (sum_t)(sums[i] + row[i] * units);                                       \
    }

ADD_ROW(add_row_16, uint16_t)
ADD_ROW(add_row_32, uint32_t)

/* One channel of a span, at `sums`. */
#define ADD_SPAN(name, sum_t)                                                                      \
    INLINE uint64_t name(const sum_t *sums, const struct span *s, size_t step, uint32_t inner) {   \
        uint64_t sum = (uint64_t)sums[0] * s->head, between = 0;                                   \
        for (uint32_t i = 1; i + 1 < s->count; i++)                                                \
            between += sums[i * step];                                                             \
        if (s->count > 1)                                                                          \
            sum += (uint64_t)sums[(s->count - 1) * step] * s->tail;                                \
        return sum + between * inner;                                                              \
    }

ADD_SPAN(add_span_16, uint16_t)
ADD_SPAN(add_span_32, uint32_t)

typedef uint32_t vector __attribute__((vector_size(16)));

INLINE vector load_16(const uint16_t *from) {
    return (vector){from[0], from[1], from[2], from[3]};
}

INLINE vector load_32(const uint32_t *from) {
    return (vector){from[0], from[1], from[2], from[3]};
}

/* The four channels of a span whose sums fit into 32 bits: the whole area has at most MOST units. */
#define ADD_PIXELS(name, sum_t, load)                                                              \
    INLINE vector name(const sum_t *sums, const struct span *s, uint32_t inner) {                  \
        vector sum = load(sums) * s->head, between = {0};                                          \
        for (uint32_t i = 1; i + 1 < s->count; i++)                                                \
            between += load(sums + i * 4);                                                         \
        if (s->count > 1)                                                                          \
            sum += load(sums + (s->count - 1) * 4) * s->tail;                                      \
        return sum + between * inner;                                                              \
    }

ADD_PIXELS(add_pixels_16, uint16_t, load_16)
ADD_PIXELS(add_pixels_32, uint32_t, load_32)

INLINE void put_row(const struct job *j, uint8_t *to, int wide) {
    const struct kju_rect *part = &j->t->part;
    uint32_t bytes = j->t->bytes;
    for (uint32_t x = 0; x < part->width; x++, to += bytes) {
        const struct span *s = &j->columns[x];
        size_t at = (size_t)s->first * bytes - j->first;
        if (bytes == 4 && j->divisor.multiplier) {
            vector sum = wide ? add_pixels_32((const uint32_t *)j->sums + at, s, j->inner)
                              : add_pixels_16((const uint16_t *)j->sums + at, s, j->inner);
            for (int channel = 0; channel < 3; channel++)
                to[channel] = divide(&j->divisor, sum[channel]);
        } else {
            for (uint32_t channel = 0; channel < (bytes == 4 ? 3 : 1); channel++) {
                uint64_t sum =
                    wide ? add_span_32((const uint32_t *)j->sums + at + channel, s, bytes, j->inner)
                         : add_span_16((const uint16_t *)j->sums + at + channel, s, bytes, j->inner);
                to[channel] = divide(&j->divisor, sum);
            }
        }
        if (bytes == 4)
            to[3] = 255;
    }
}

INLINE void make(const struct job *j, int wide) {
    const struct kju_thumbnail *t = j->t;
    for (uint32_t y = t->part.y; y < t->part.y + t->part.height; y++) {
        struct span rows = span_of(&j->rows, y);
        for (uint32_t i = 0; i < rows.count; i++) {
            const uint8_t *row = t->from + (uint64_t)(rows.first + i) * t->stride + j->first;
            uint32_t units = !i ? rows.head : i + 1 == rows.count ? rows.tail : j->rows.to;
            if (wide)
                add_row_32(j->sums, row, j->count, units, !i);
            else
                add_row_16(j->sums, row, j->count, units, !i);
        }
        put_row(j, t->to + ((uint64_t)y * t->to_width + t->part.x) * t->bytes, wide);
    }
}

/* Once for every processor and once for those with AVX2, as in convert.c. */
#if defined(__x86_64__) && defined(__clang__)
#define WITH_AVX2 __attribute__((target("avx2")))
#elif defined(__x86_64__)
#define WITH_AVX2 __attribute__((target("avx2"), optimize("O3")))
#endif

static void make_plain(const struct job *j, int wide) {
    if (wide)
        make(j, 1);
    else
        make(j, 0);
}

#if defined(__x86_64__)
WITH_AVX2 static void make_avx2(const struct job *j, int wide) {
    if (wide)
        make(j, 1);
    else
        make(j, 0);
}
#endif

static int check(const struct kju_thumbnail *t) {
    if (!t->to_width || !t->to_height || t->to_width > t->width || t->to_height > t->height ||
        t->width > KJU_MAX_SIDE || t->height > KJU_MAX_SIDE || (t->bytes != 4 && t->bytes != 1))
        return KJU_E_RECT;
    uint64_t row = (uint64_t)t->width * t->bytes;
    if (t->stride < row || t->from_size < row ||
        (t->height > 1 && (t->from_size - row) / (t->height - 1) < t->stride) ||
        t->to_size < (uint64_t)t->to_width * t->to_height * t->bytes)
        return KJU_E_RECT;
    const struct kju_rect *p = &t->part;
    return (uint64_t)p->x + p->width > t->to_width || (uint64_t)p->y + p->height > t->to_height
               ? KJU_E_RECT
               : KJU_OK;
}

int kju_make_thumbnail(const struct kju_thumbnail *t) {
    const struct kju_rect *part = &t->part;
    if (check(t))
        return KJU_E_RECT;
    if (!part->width || !part->height)
        return KJU_OK;
    struct axis columns = axis_of(t->width, t->to_width);
    struct job j = {.t = t, .rows = axis_of(t->height, t->to_height), .inner = columns.to};
    int wide = j.rows.from > UINT16_MAX / 255;
    struct span *spans = malloc(part->width * sizeof *spans);
    if (!spans)
        return -ENOMEM;
    for (uint32_t x = 0; x < part->width; x++)
        spans[x] = span_of(&columns, part->x + x);
    const struct span *last = &spans[part->width - 1];
    j.columns = spans;
    j.divisor = divisor_of((uint64_t)columns.from * j.rows.from);
    j.first = (size_t)spans[0].first * t->bytes;
    j.count = (size_t)(last->first + last->count) * t->bytes - j.first;
    j.sums = malloc(j.count * (wide ? sizeof(uint32_t) : sizeof(uint16_t)));
    if (!j.sums) {
        free(spans);
        return -ENOMEM;
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        make_avx2(&j, wide);
    else
#endif
        make_plain(&j, wide);
    free(j.sums);
    free(spans);
    return KJU_OK;
}
