/* A producer and its consumers as threads: while the producer rests, every consumer that has caught
 * up has its pixels; exact copies contain exactly one version; and modes, live windows and states
 * are read consistently. */
#include <sched.h>

#include "damage.h"
#include "test.h"

enum { CONSUMERS = 3, SIDE = 96, TILE = 8, ROUNDS = 250, BURST = 24, EXACT = 60 };

static struct kju_layout layout;
static void *memory;

/* ---- Rounds of small publications, and mode changes in the middle of copies */

static uint8_t last[SIDE * SIDE * 4]; /* the producer's pixels while it rests */
static struct kju_mode last_mode;
static _Atomic int rounds_drawn;
static pthread_barrier_t rest;

static void publish_something(struct kju_writer *w, uint8_t *frame, uint64_t *seed) {
    struct kju_source s = {frame, sizeof last, 0, w->mode.stride, kju_find_in("xrgb8888")};
    uint64_t choice = next_random(seed) % 40, changed;
    if (choice == 0 || !w->mode.epoch) {
        struct kju_mode m = make_mode(1 + next_random(seed) % SIDE, 1 + next_random(seed) % SIDE,
                                      KJU_XR24);
        s.stride = m.stride;
        CHECK(kju_writer_mode(w, m, &s) == KJU_OK);
    } else if (choice < 20) { /* a few random pixels, found by a comparison */
        for (int n = 0; n < 3; n++)
            frame[next_random(seed) % ((size_t)w->mode.stride * w->mode.height)] ^= 1;
        CHECK(kju_writer_compare(w, &s, NULL, 0, &changed) == KJU_OK && changed);
    } else { /* one row, announced */
        struct kju_rect r = {0, next_random(seed) % w->mode.height, w->mode.width, 1};
        s.offset = (uint64_t)r.y * w->mode.stride;
        memset(frame + s.offset, (int)next_random(seed), w->mode.stride);
        CHECK(kju_writer_draw(w, &r, &s) == KJU_OK);
    }
}

static void *produce_rounds(void *unused) {
    (void)unused;
    struct kju_writer w = {.memory = memory, .layout = layout};
    uint64_t seed = 99;
    uint8_t *frame = calloc(1, sizeof last);
    for (int round = 1; round <= ROUNDS; round++) {
        for (int n = 0; n < BURST; n++)
            publish_something(&w, frame, &seed);
        memcpy(last, frame, sizeof last);
        last_mode = w.mode;
        atomic_store(&rounds_drawn, round);
        kju_wake(memory);
        pthread_barrier_wait(&rest); /* all threads have compared */
    }
    free(frame);
    return NULL;
}

struct mirror {
    struct kju_mode mode;
    uint64_t since;
    uint8_t pixels[SIDE * SIDE * 4];
    uint32_t looks;
};

/* One reading, in the order that the head of surface.h defines. */
static void take(struct mirror *mirror) {
    uint64_t version = kju_version(memory);
    struct kju_mode mode, after;
    struct kju_rect rects[(SIDE / TILE) * (SIDE / TILE)];
    uint32_t starts[SIDE / TILE];
    size_t count = 1;
    if (kju_read_mode(memory, &layout, &mode) || !mode.epoch)
        return;
    if (mode.epoch != mirror->mode.epoch)
        rects[0] = (struct kju_rect){0, 0, mode.width, mode.height};
    else
        count = kju_newer_rects(memory, &layout, &mode, mirror->since, rects, starts);
    for (size_t i = 0; i < count; i++)
        for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].height; y++) {
            size_t at = (size_t)y * mode.stride + rects[i].x * 4;
            kju_copy_pixels(mirror->pixels + at, kju_pixels(memory, &layout) + at,
                            rects[i].width * 4);
        }
    atomic_thread_fence(memory_order_acquire);
    if (kju_read_mode(memory, &layout, &after) || after.epoch != mode.epoch) {
        mirror->mode.epoch = 0; /* the copy belongs to no mode: take everything next time */
        return;
    }
    mirror->mode = mode;
    mirror->since = version;
    mirror->looks++;
}

static void *consume_rounds(void *argument) {
    struct mirror *mirror = argument;
    for (int round = 1; round <= ROUNDS;) {
        uint32_t pulse = kju_pulse(memory);
        int drawn = atomic_load(&rounds_drawn);
        take(mirror);
        if (drawn < round) { /* read before the reading; later would be a race */
            kju_wait(memory, pulse, KJU_WAIT_CAP_MS);
            continue;
        }
        while (mirror->mode.epoch != last_mode.epoch)
            take(mirror); /* the reading began in an older mode */
        CHECK(!memcmp(&mirror->mode, &last_mode, sizeof last_mode));
        CHECK(!memcmp(mirror->pixels, last, (size_t)last_mode.stride * last_mode.height));
        pthread_barrier_wait(&rest);
        round++;
    }
    return NULL;
}

static void equal_whenever_it_rests(void) {
    static struct mirror mirrors[CONSUMERS];
    pthread_t producer, consumers[CONSUMERS];
    memory = make_surface(&layout, SIDE * SIDE * 4, TILE, SIDE);
    CHECK(!pthread_barrier_init(&rest, NULL, CONSUMERS + 1));
    for (int i = 0; i < CONSUMERS; i++)
        CHECK(!pthread_create(&consumers[i], NULL, consume_rounds, &mirrors[i]));
    CHECK(!pthread_create(&producer, NULL, produce_rounds, NULL));
    pthread_join(producer, NULL);
    for (int i = 0; i < CONSUMERS; i++) {
        pthread_join(consumers[i], NULL);
        printf("consumer %d looked %u times\n", i, mirrors[i].looks);
    }
    pthread_barrier_destroy(&rest);
    free(memory);
}

/* ---- Exact copies of frames that have one value everywhere */

static _Atomic uint32_t copies; /* the producer continues until there are enough */

/* Pixel by pixel, so that other threads run while a frame is half drawn. */
static void *produce_frames(void *unused) {
    (void)unused;
    struct kju_mode mode = make_mode(SIDE, SIDE, KJU_XR24);
    struct kju_rect whole = {0, 0, SIDE, SIDE};
    uint8_t row[SIDE * 4];
    publish_mode(memory, &layout, &mode);
    for (int value = 1; atomic_load(&copies) < EXACT; value++) {
        memset(row, value, sizeof row);
        kju_begin(memory);
        for (uint32_t y = 0; y < SIDE; y++) {
            kju_copy_pixels(kju_pixels(memory, &layout) + y * sizeof row, row, sizeof row);
            if (y % 32 == 5)
                sched_yield();
        }
        CHECK(kju_publish(memory, &layout, &mode, &whole, 1) == KJU_OK);
        sched_yield();
    }
    kju_set_state(memory, KJU_CLOSED, "done");
    return NULL;
}

static void *copy_exactly(void *unused) {
    (void)unused;
    const struct kju_header *h = memory;
    static uint8_t pixels[SIDE * SIDE * 4];
    while (atomic_load(&h->state) != KJU_CLOSED) {
        uint32_t sequence = kju_sequence(memory);
        kju_copy_pixels(pixels, kju_pixels(memory, &layout), sizeof pixels);
        if (!kju_same_sequence(memory, sequence)) {
            sched_yield();
            continue;
        }
        for (size_t i = 1; i < sizeof pixels; i++)
            CHECK(pixels[i] == pixels[0]);
        atomic_fetch_add(&copies, 1);
    }
    return NULL;
}

static void exact_copies(void) {
    pthread_t producer, consumer;
    memory = make_surface(&layout, SIDE * SIDE * 4, TILE, SIDE);
    CHECK(!pthread_create(&consumer, NULL, copy_exactly, NULL));
    CHECK(!pthread_create(&producer, NULL, produce_frames, NULL));
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    printf("%u exact copies, %llu frames\n", atomic_load(&copies),
           (unsigned long long)kju_version(memory));
    free(memory);
}

/* ---- Modes are read consistently: width and height always have the same sum */

static _Atomic int read_enough;

static void *change_modes(void *unused) {
    (void)unused;
    for (uint32_t n = 0; !atomic_load(&read_enough); n++) {
        struct kju_mode mode = make_mode(1 + n % (SIDE - 1), SIDE - n % (SIDE - 1),
                                         KJU_XR24);
        publish_mode(memory, &layout, &mode);
    }
    return NULL;
}

static void modes_are_whole(void) {
    pthread_t producer;
    memory = make_surface(&layout, SIDE * SIDE * 4, TILE, SIDE);
    CHECK(!pthread_create(&producer, NULL, change_modes, NULL));
    uint64_t first = 0, epoch = 0;
    for (int n = 0; n < 100000 || epoch < first + 1000; n++) {
        struct kju_mode mode;
        int result = kju_read_mode(memory, &layout, &mode);
        if (result == KJU_BUSY || !mode.epoch)
            continue;
        CHECK(result == KJU_OK);
        CHECK(mode.width + mode.height == SIDE + 1 && mode.stride == mode.width * 4);
        CHECK((mode.epoch - 1) % (SIDE - 1) == mode.width - 1);
        CHECK(mode.epoch >= epoch);
        epoch = mode.epoch;
        first = first ? first : epoch;
    }
    atomic_store(&read_enough, 1);
    pthread_join(producer, NULL);
    printf("%llu modes\n", (unsigned long long)(epoch - first));
    free(memory);
}

/* ---- Live windows and states are read consistently; a window ends with its mode */

static void *change_windows(void *unused) {
    (void)unused;
    struct kju_mode mode = make_mode(SIDE, SIDE, KJU_XR24);
    for (uint32_t n = 1; !atomic_load(&read_enough); n++) {
        if (n % 8 == 0) /* epoch e has the windows 8e - 7 to 8e - 1 */
            publish_mode(memory, &layout, &mode);
        else
            kju_set_live(memory, &(struct kju_live){.offset = 3 * (uint64_t)n, .stride = 5 * n,
                                                    .number = n});
        kju_set_state(memory, n % 2 ? KJU_PAUSED : KJU_UNAVAILABLE, n % 2 ? "pp" : "uu");
    }
    return NULL;
}

/* As in reader_state of reader.c. */
static void check_state(const struct kju_header *h) {
    uint32_t before = atomic_load(&h->mode_sequence), state = atomic_load(&h->state);
    uint8_t first = atomic_load(&h->reason[0]), second = atomic_load(&h->reason[1]);
    if ((before & 1) || before != atomic_load(&h->mode_sequence) || state == KJU_LIVE)
        return;
    CHECK(first == (state == KJU_PAUSED ? 'p' : 'u') && second == first);
}

static void windows_are_whole(void) {
    pthread_t producer;
    struct kju_mode mode = make_mode(SIDE, SIDE, KJU_XR24);
    uint32_t seen = 0, newest = 0;
    memory = make_surface(&layout, SIDE * SIDE * 4, TILE, SIDE);
    publish_mode(memory, &layout, &mode);
    atomic_store(&read_enough, 0);
    CHECK(!pthread_create(&producer, NULL, change_windows, NULL));
    while (seen < 1000) {
        struct kju_live live;
        check_state(memory);
        if (kju_read_live(memory, &layout, &mode, &live) || !live.number)
            continue;
        CHECK(live.offset == 3 * (uint64_t)live.number && live.stride == 5 * live.number);
        CHECK(live.number / 8 + 1 == mode.epoch && live.number >= newest);
        seen += live.number != newest;
        newest = live.number;
    }
    atomic_store(&read_enough, 1);
    pthread_join(producer, NULL);
    printf("%u windows, %u of them seen\n", newest, seen);
    free(memory);
}

int main(void) {
    modes_are_whole();
    windows_are_whole();
    equal_whenever_it_rests();
    exact_copies();
    return 0;
}
