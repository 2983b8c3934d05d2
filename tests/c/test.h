/* Shared by the C tests: a check that ends the program, memory, and threads. */
#ifndef KJU_TEST_H
#define KJU_TEST_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kju/surface.h"

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* xorshift64*: the same numbers in every run. */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* A surface in memory of exactly its size, so that the sanitizer finds an access one byte beyond. */
static inline void *make_surface(struct kju_layout *layout, uint64_t capacity, uint32_t tile,
                                 uint32_t max_side) {
    CHECK(kju_plan(layout, capacity, tile, max_side, max_side) == KJU_OK);
    layout->incarnation = 1;
    void *memory = aligned_alloc(KJU_PAGE, layout->size);
    CHECK(memory);
    memset(memory, 0, layout->size);
    kju_format(memory, layout);
    return memory;
}

static inline struct kju_mode make_mode(uint32_t width, uint32_t height, uint32_t fourcc) {
    return (struct kju_mode){.width = width, .height = height, .fourcc = fourcc,
                             .stride = width * kju_bytes_per_pixel(fourcc)};
}

/* Publish a mode with undefined pixels. */
static inline void publish_mode(void *memory, const struct kju_layout *l, struct kju_mode *mode) {
    CHECK(kju_check_mode(l, mode) == KJU_OK);
    uint64_t version = kju_next_version(memory);
    kju_begin(memory);
    kju_set_mode(memory, l, mode, version);
    kju_end(memory, version);
}

#endif
