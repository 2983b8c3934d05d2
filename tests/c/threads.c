/* One producer and several consumers at once: when the producer stops, every consumer that
 * has caught up holds its pixels, and exact copies hold exactly one version. */
#include "damage.h"
#include "test.h"

enum { CONSUMERS = 3, SIDE = 96, FRAMES = 396, MODES = 12, COPIES = 50 };

static struct kju_layout layout;
static void *memory;
static uint8_t last[SIDE * SIDE * 4]; /* what the producer published last, and its mode */
static struct kju_mode last_mode;
static _Atomic uint32_t copies; /* exact ones; the producer goes on until there are enough */

static void *produce(void *unused) {
    (void)unused;
    struct kju_writer w = {.memory = memory, .layout = layout};
    uint64_t seed = 99;
    uint8_t *frame = calloc(1, sizeof last);
    struct kju_source s = {frame, sizeof last, 0, SIDE * 4, kju_find_in("xrgb8888")};
    for (int i = 0; i < FRAMES || atomic_load(&copies) < COPIES; i++) {
        uint64_t changed;
        if (i < FRAMES && i % (FRAMES / MODES) == 0) {
            struct kju_mode m = make_mode(1 + next_random(&seed) % SIDE,
                                          1 + next_random(&seed) % SIDE, KJU_XR24);
            s.stride = m.stride;
            CHECK(kju_writer_mode(&w, m, &s) == KJU_OK);
        }
        /* One value in the whole frame, as the exact readers check; then a few rows. */
        memset(frame, (int)next_random(&seed), (size_t)w.mode.stride * w.mode.height);
        CHECK(kju_writer_compare(&w, &s, NULL, 0, &changed) == KJU_OK);
        if (i % 3 == 0)
            CHECK(kju_writer_draw(&w, &(struct kju_rect){0, 0, w.mode.width, w.mode.height}, &s) ==
                  KJU_OK);
    }
    /* The last picture has something in every tile. */
    for (size_t i = 0; i < (size_t)w.mode.stride * w.mode.height; i++)
        frame[i] = (uint8_t)next_random(&seed);
    uint64_t changed;
    CHECK(kju_writer_compare(&w, &s, NULL, 0, &changed) == KJU_OK);
    memcpy(last, frame, sizeof last);
    last_mode = w.mode;
    kju_set_state(memory, KJU_CLOSED, "done");
    free(frame);
    return NULL;
}

struct mirror {
    struct kju_mode mode;
    uint64_t since;
    uint8_t pixels[SIDE * SIDE * 4];
    uint32_t looks;
};

/* One look, as the head of surface.h says it is done. */
static void take(struct mirror *mirror) {
    uint64_t version = kju_version(memory);
    struct kju_mode mode, after;
    struct kju_rect rects[(SIDE / 8) * (SIDE / 8)], whole;
    uint32_t starts[SIDE / 8];
    size_t count = 1;
    if (kju_read_mode(memory, &layout, &mode) || !mode.epoch)
        return;
    whole = (struct kju_rect){0, 0, mode.width, mode.height};
    if (mode.epoch != mirror->mode.epoch)
        rects[0] = whole;
    else
        count = kju_newer_rects(memory, &layout, &mode, mirror->since, rects, starts);
    for (size_t i = 0; i < count; i++)
        for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].height; y++) {
            size_t at = (size_t)y * mode.stride + rects[i].x * 4;
            kju_copy_pixels(mirror->pixels + at, kju_pixels(memory, &layout) + at,
                            rects[i].width * 4);
        }
    if (kju_read_mode(memory, &layout, &after) || after.epoch != mode.epoch) {
        mirror->mode.epoch = 0; /* what was taken is of no mode: everything, next time */
        return;
    }
    mirror->mode = mode;
    mirror->since = version;
    mirror->looks++;
}

static void *consume(void *argument) {
    struct mirror *mirror = argument;
    const struct kju_header *h = memory;
    for (;;) {
        uint32_t pulse = kju_pulse(memory);
        uint32_t state = atomic_load(&h->state);
        take(mirror);
        if (state == KJU_CLOSED) /* read before the look: that was the last one */
            return NULL;
        kju_wait(memory, pulse, KJU_WAIT_CAP_MS);
    }
}

/* Every exact copy shows one value everywhere: a frame is drawn with one. */
static void *consume_exactly(void *argument) {
    (void)argument;
    const struct kju_header *h = memory;
    static uint8_t pixels[SIDE * SIDE * 4];
    while (atomic_load(&h->state) != KJU_CLOSED) {
        struct kju_mode mode, after;
        uint32_t sequence = kju_sequence(memory);
        if (sequence & 1)
            continue;
        uint64_t version = kju_version(memory);
        if (kju_read_mode(memory, &layout, &mode) || !mode.epoch)
            continue;
        kju_copy_pixels(pixels, kju_pixels(memory, &layout), (size_t)mode.stride * mode.height);
        if (!kju_same_sequence(memory, sequence) || kju_read_mode(memory, &layout, &after) ||
            after.epoch != mode.epoch)
            continue;
        for (size_t i = 1; i < (size_t)mode.stride * mode.height; i++)
            if (pixels[i] != pixels[0]) {
                /* only the last frame is not of one value, and it is followed by the state */
                while (atomic_load(&h->state) != KJU_CLOSED)
                    ;
                CHECK(kju_version(memory) == version);
                return NULL;
            }
        atomic_fetch_add(&copies, 1);
    }
    return NULL;
}

int main(void) {
    static struct mirror mirrors[CONSUMERS];
    pthread_t producer, exact, consumers[CONSUMERS];
    memory = make_surface(&layout, SIDE * SIDE * 4, 8, SIDE);
    for (int i = 0; i < CONSUMERS; i++)
        CHECK(!pthread_create(&consumers[i], NULL, consume, &mirrors[i]));
    CHECK(!pthread_create(&exact, NULL, consume_exactly, NULL));
    CHECK(!pthread_create(&producer, NULL, produce, NULL));
    pthread_join(producer, NULL);
    pthread_join(exact, NULL);
    for (int i = 0; i < CONSUMERS; i++) {
        pthread_join(consumers[i], NULL);
        CHECK(mirrors[i].mode.epoch == last_mode.epoch && mirrors[i].mode.epoch == MODES);
        CHECK(!memcmp(mirrors[i].pixels, last, (size_t)last_mode.stride * last_mode.height));
        printf("consumer %d looked %u times\n", i, mirrors[i].looks);
    }
    printf("%u exact copies\n", atomic_load(&copies));
    free(memory);
    return 0;
}
