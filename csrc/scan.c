#include "scan.h"

#include <stdlib.h>

void kju_scan_free(struct kju_scan *v) {
    free(v->due);
    free(v->interval);
    free(v->marks);
    free(v->scratch);
    v->due = v->interval = NULL;
    v->marks = v->scratch = NULL;
    v->epoch = 0;
}

void kju_scan_input(struct kju_scan *v, uint64_t now) {
    /* Relaxed: no other data depends on the value, and the caller wakes the scanning thread. */
    atomic_store_explicit(&v->asked, now, memory_order_relaxed);
}

/* Read an input noted since the last step. */
static void take_input(struct kju_scan *v, uint64_t now) {
    uint64_t asked = atomic_load_explicit(&v->asked, memory_order_relaxed);
    if (asked != v->input) {
        v->input = asked;
        v->probe = now;
    }
}

static int answers_input(const struct kju_scan *v, uint64_t now) {
    return v->input && now >= v->input && now - v->input < v->pace.answer;
}

static int is_answer(const struct kju_scan *v, uint32_t tile) {
    uint32_t count = v->answer_count < KJU_ANSWERS ? v->answer_count : KJU_ANSWERS;
    for (uint32_t i = 0; i < count; i++)
        if (v->answers[i] == tile)
            return 1;
    return 0;
}

/* Remember the tiles that have changed. The probe finds a change of many tiles, and they
 * would push out the others. */
static void remember_answers(struct kju_scan *v, uint64_t changed) {
    size_t tiles = (size_t)v->columns * v->rows;
    if (!changed || changed > KJU_ANSWERS / 2)
        return;
    for (size_t i = 0; i < tiles; i++)
        if (v->marks[i] == KJU_CHANGED && !is_answer(v, (uint32_t)i))
            v->answers[v->answer_count++ % KJU_ANSWERS] = (uint32_t)i;
}

static void mark_answers(struct kju_scan *v) {
    uint32_t count = v->answer_count < KJU_ANSWERS ? v->answer_count : KJU_ANSWERS;
    for (uint32_t i = 0; i < count; i++)
        v->marks[v->answers[i]] = KJU_CANDIDATE;
}

/* Allocate the arrays for a new mode; all its tiles are due. */
static int begin_mode(struct kju_scan *v, const struct kju_writer *w, uint64_t now) {
    kju_scan_free(v);
    v->columns = kju_tiles_across(w->mode.width, w->layout.tile_side);
    v->rows = kju_tiles_across(w->mode.height, w->layout.tile_side);
    size_t tiles = (size_t)v->columns * v->rows;
    v->due = malloc(tiles * sizeof *v->due);
    v->interval = calloc(tiles, sizeof *v->interval);
    v->marks = malloc(tiles);
    v->scratch = malloc((size_t)w->mode.width * 4);
    if (!v->due || !v->interval || !v->marks || !v->scratch) {
        kju_scan_free(v);
        return -ENOMEM;
    }
    for (size_t i = 0; i < tiles; i++)
        v->due[i] = now ? now : 1;
    v->probe = now;
    v->answer_count = 0;
    v->epoch = w->mode.epoch;
    return KJU_OK;
}

static uint64_t probe_interval(const struct kju_scan *v, uint64_t now) {
    if (!v->input || now < v->input || !v->pace.share) /* 0: no pace has been set */
        return v->pace.rest;
    uint64_t interval = (now - v->input) / v->pace.share;
    if (interval < v->pace.brisk)
        interval = v->pace.brisk;
    return interval < v->pace.rest ? interval : v->pace.rest;
}

static void mark_due(struct kju_scan *v, uint64_t now) {
    size_t tiles = (size_t)v->columns * v->rows;
    for (size_t i = 0; i < tiles; i++)
        v->marks[i] = v->due[i] && v->due[i] <= now ? KJU_CANDIDATE : KJU_SKIP;
}

/* The tiles above and below a found one may have changed in fewer rows than the probe's step, so
 * they are compared too: a shape is published in one piece. */
static void mark_found(struct kju_scan *v, uint32_t band, uint32_t column) {
    uint32_t from = band ? band - 1 : 0, to = band + 1 < v->rows ? band + 1 : band;
    for (uint32_t row = from; row <= to; row++)
        v->marks[(size_t)row * v->columns + column] = KJU_CANDIDATE;
}

static void probe_row(struct kju_scan *v, const struct kju_writer *w, const struct kju_source *s,
                      uint32_t y) {
    uint32_t bytes = kju_bytes_per_pixel(w->mode.fourcc), side = w->layout.tile_side;
    size_t row = (size_t)w->mode.width * bytes, tile = (size_t)side * bytes;
    const uint8_t *from = s->bytes + s->offset + y * s->stride;
    const uint8_t *to = kju_pixels(w->memory, &w->layout) + (uint64_t)y * w->mode.stride;
    if (s->format->row) {
        s->format->row(v->scratch, from, w->mode.width);
        from = v->scratch;
    }
    if (!kju_differ(from, to, row))
        return;
    for (uint32_t column = 0; column < v->columns; column++) {
        size_t a = column * tile, b = a + tile < row ? a + tile : row;
        if (v->marks[(size_t)(y / side) * v->columns + column] != KJU_CANDIDATE &&
            kju_differ(from + a, to + a, b - a))
            mark_found(v, y / side, column);
    }
}

static void probe(struct kju_scan *v, const struct kju_writer *w, const struct kju_source *s) {
    /* In this order a change 4 rows high is found by one of two probes, 2 rows by one of four. */
    static const uint8_t order[KJU_PROBE_ROWS] = {0, 4, 2, 6, 1, 5, 3, 7};
    for (uint32_t y = order[v->phase]; y < w->mode.height; y += KJU_PROBE_ROWS)
        probe_row(v, w, s, y);
    v->phase = (v->phase + 1) % KJU_PROBE_ROWS;
}

/* Heat the changed tiles, cool the others; returns when the next tile is due. */
static uint64_t pace_tiles(struct kju_scan *v, uint64_t now, uint64_t hot) {
    size_t tiles = (size_t)v->columns * v->rows;
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < tiles; i++) {
        if (v->marks[i] == KJU_CHANGED) {
            v->interval[i] = hot;
            v->due[i] = now + hot;
        } else if (v->marks[i] == KJU_CANDIDATE && v->due[i] && v->due[i] <= now) {
            /* A tile that was compared before it was due cools no faster. */
            v->interval[i] *= 2;
            if (!v->interval[i] || v->interval[i] >= v->pace.cold)
                v->interval[i] = 0;
            v->due[i] = v->interval[i] ? now + v->interval[i] : 0;
        }
        if (v->due[i] && v->due[i] < next)
            next = v->due[i];
    }
    return next;
}

int kju_scan_step(struct kju_scan *v, struct kju_writer *w, const struct kju_source *s,
                   uint64_t now, uint64_t *next, uint64_t *changed) {
    *changed = 0;
    if (kju_check_frame(w, s))
        return KJU_E_RECT;
    if (v->epoch != w->mode.epoch && begin_mode(v, w, now))
        return -ENOMEM;
    struct kju_comparison c = {w, s, v->marks, s->format->row ? v->scratch : NULL, v->columns,
                               v->rows};
    take_input(v, now);
    mark_due(v, now);
    if (answers_input(v, now))
        mark_answers(v);
    uint64_t interval = probe_interval(v, now);
    if (now >= v->probe) {
        probe(v, w, s);
        v->probe = now + interval;
    }
    *changed = kju_compare_marked(&c);
    if (answers_input(v, now))
        remember_answers(v, *changed);
    uint64_t tile = pace_tiles(v, now, interval < v->pace.hot ? interval : v->pace.hot);
    *next = tile < v->probe ? tile : v->probe;
    return KJU_OK;
}
