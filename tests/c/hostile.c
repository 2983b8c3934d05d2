/* Any bytes as a surface: rejected, or read without an access outside its memory; also while
 * another thread changes the checked header.
 *
 *   hostile [COUNT]     COUNT surfaces of random bytes, and as many readings during changes
 */
#include "damage.h"
#include "test.h"

static uint64_t accepted, looked, windows;

/* Make the compiler assume that all of it is read: it removes a copy that is not used, and with it
 * the accesses that the sanitizer checks. */
static void use(const void *bytes) {
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

/* Memory of live windows, exactly two pictures of `fresh`: the sanitizer checks both ends. */
enum { WINDOW = 2 * 64 * 48 * 4 };
static uint8_t *window;

/* The accesses of a consumer to the live window. */
static void look_live(const void *memory, const struct kju_layout *l,
                      const struct kju_mode *checked) {
    struct kju_mode mode;
    struct kju_live live;
    if (kju_read_live(memory, l, &mode, &live) || mode.epoch != checked->epoch)
        return;
    /* Use the checked mode: the one read with the window may have any values. */
    if (kju_check_live(checked, &live, WINDOW))
        return;
    windows++;
    size_t row = (size_t)checked->width * kju_bytes_per_pixel(checked->fourcc);
    CHECK(live.number && live.stride >= row && live.offset < WINDOW);
    uint8_t *copy = malloc(row);
    CHECK(copy);
    for (uint32_t y = 0; y < checked->height; y++) {
        kju_copy_pixels(copy, window + live.offset + (uint64_t)y * live.stride, row);
        use(copy);
    }
    free(copy);
}

/* All accesses of a consumer. The results are ignored; the sanitizer checks the accesses. */
static void look(const void *memory, uint64_t length, uint64_t *seed) {
    struct kju_layout l;
    struct kju_mode mode;
    if (kju_check(memory, length, &l))
        return;
    accepted++;
    CHECK(l.size <= length && l.pixels_offset + l.pixels_capacity <= length);
    kju_version(memory);
    kju_pulse(memory);
    if (kju_read_mode(memory, &l, &mode) || !mode.epoch)
        return;
    looked++;
    CHECK((uint64_t)mode.stride * mode.height <= l.pixels_capacity);
    size_t most = kju_most_rects(&l, &mode);
    struct kju_rect *rects = malloc(most * sizeof *rects + 1);
    uint32_t *starts = malloc(kju_tiles_across(mode.width, l.tile_side) * sizeof *starts);
    CHECK(rects && starts);
    size_t count = kju_newer_rects(memory, &l, &mode, next_random(seed) >> 60, rects, starts);
    CHECK(count <= most);
    uint32_t bytes = kju_bytes_per_pixel(mode.fourcc);
    uint8_t *copy = malloc((size_t)mode.width * bytes);
    for (size_t i = 0; i < count; i++) {
        CHECK(kju_check_rect(&mode, &rects[i]) == KJU_OK);
        for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].height; y++) {
            kju_copy_pixels(copy, kju_pixels(memory, &l) + (uint64_t)y * mode.stride +
                                      (uint64_t)rects[i].x * bytes,
                            (size_t)rects[i].width * bytes);
            use(copy);
        }
    }
    size_t ranges = 0;
    kju_range_rects(&mode, next_random(seed), next_random(seed), rects, &ranges);
    kju_same_sequence(memory, kju_sequence(memory));
    look_live(memory, &l, &mode);
    free(copy);
    free(starts);
    free(rects);
}

static const uint16_t fields32[] = {8, 12, 80, 144, 148, 200, 204, 208, 212, 136, 140, 224, 228};
static const uint16_t fields64[] = {0, 16, 24, 32, 40, 48, 56, 64, 72, 128, 192, 216};

static uint64_t interesting(uint64_t *seed, uint64_t size) {
    uint64_t r = next_random(seed);
    switch (r % 9) {
    case 0: return 0;
    case 1: return 1;
    case 2: return UINT64_MAX - (r >> 60);
    case 3: return UINT32_MAX - (r >> 60);
    case 4: return size + (r >> 61) - 4;
    case 5: return (r >> 32) % (size + 1);
    case 6: return UINT64_C(1) << (r >> 58);
    case 7: return ((r >> 32) % (size + 1)) & ~(uint64_t)(KJU_PAGE - 1);
    default: return r >> 50;
    }
}

static void mutate(uint8_t *memory, uint64_t size, uint64_t *seed) {
    uint64_t r = next_random(seed), value = interesting(seed, size);
    if (r & 1) {
        size_t at = fields32[(r >> 8) % (sizeof fields32 / sizeof *fields32)];
        atomic_store((_Atomic uint32_t *)(memory + at), (uint32_t)value);
    } else {
        size_t at = fields64[(r >> 8) % (sizeof fields64 / sizeof *fields64)];
        atomic_store((_Atomic uint64_t *)(memory + at), value);
    }
}

static void *fresh(struct kju_layout *l, uint64_t *seed) {
    void *memory = make_surface(l, 64 * 48 * 4, 8u << next_random(seed) % 3, 80);
    struct kju_mode mode = make_mode(64, 48, next_random(seed) & 1 ? KJU_XR24 : KJU_R8);
    publish_mode(memory, l, &mode);
    kju_set_live(memory, &(struct kju_live){WINDOW / 2, mode.stride, 1});
    return memory;
}

/* Random places of a window beside valid modes: many at the edges of its memory. */
static void random_windows(uint64_t count) {
    uint64_t seed = 11, there = 0, refused = 0;
    struct kju_layout l;
    void *memory = fresh(&l, &seed);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t r = next_random(&seed), height = 1 + (r >> 8) % 48, width = 1 + (r >> 16) % 64;
        struct kju_mode mode = make_mode((uint32_t)width, (uint32_t)height,
                                         r & 1 ? KJU_XR24 : KJU_R8);
        publish_mode(memory, &l, &mode);
        uint32_t stride = r & 2 ? mode.stride : (uint32_t)interesting(&seed, 2 * mode.stride);
        struct kju_live live = {interesting(&seed, WINDOW), stride, r & 12 ? 1 : 0};
        uint64_t bytes = stride * (height - 1) + mode.stride;
        if (r & 16) /* one byte too many, exact, one byte less */
            live.offset = WINDOW - bytes + (r >> 32) % 3 - 1;
        kju_set_live(memory, &live);
        /* The same check in numbers that cannot wrap. */
        int fits = live.number && stride >= mode.stride &&
                   (unsigned __int128)live.offset + bytes <= WINDOW;
        CHECK(kju_check_live(&mode, &live, WINDOW) == (fits ? KJU_OK : KJU_E_LIVE));
        *(fits ? &there : &refused) += 1;
        look(memory, l.size, &seed);
    }
    CHECK(there == windows && there > count / 20 && refused > count / 20);
    free(memory);
}

static void random_headers(uint64_t count) {
    uint64_t seed = 5;
    struct kju_layout l;
    uint8_t *memory = fresh(&l, &seed), *clean = malloc(KJU_HEADER_SIZE);
    memcpy(clean, memory, KJU_HEADER_SIZE);
    for (uint64_t i = 0; i < count; i++) {
        memcpy(memory, clean, sizeof(struct kju_header));
        for (uint64_t n = next_random(&seed) % 4; n--;)
            mutate(memory, l.size, &seed);
        if (i % 16 == 0) /* a mode that stays half written costs ten thousand tries */
            look(memory, l.size, &seed);
        else {
            memory[148] &= 0xfe;
            look(memory, l.size, &seed);
        }
        if (i % 64 == 0) { /* only noise, and memory shorter than its size field */
            for (size_t b = 8; b < sizeof(struct kju_header); b++)
                memory[b] = (uint8_t)next_random(&seed);
            look(memory, l.size, &seed);
            uint64_t length = next_random(&seed) % l.size;
            uint8_t *cut = aligned_alloc(8, (length + 8) & ~UINT64_C(7));
            memcpy(cut, memory, length);
            if (length >= sizeof(struct kju_header))
                memcpy(cut, clean, sizeof(struct kju_header));
            look(cut, length, &seed);
            free(cut);
        }
    }
    free(clean);
    free(memory);
}

#ifndef KJU_TSAN
static _Atomic int stop;
static struct kju_layout shared_layout;

/* The constant part is copied by plain memcpy and changes meanwhile: a deliberate race, so only the
 * address sanitizer runs this part. */
static void *change_for_ever(void *argument) {
    uint64_t seed = 77;
    struct kju_header *h = argument;
    while (!atomic_load(&stop)) {
        mutate(argument, shared_layout.size, &seed);
        /* Often a valid header, to reach the code after the check. The constant part is written
         * by plain stores, like the bytes of a file. */
        if (next_random(&seed) % 4 == 0) {
            struct kju_mode mode = make_mode(64, 48, next_random(&seed) & 1 ? KJU_XR24 : KJU_R8);
            kju_copy_pixels((uint8_t *)argument + 8, (uint8_t *)&(struct kju_header){
                .format = KJU_FORMAT, .incarnation = 1, .size = shared_layout.size,
                .tiles_offset = shared_layout.tiles_offset,
                .tiles_capacity = shared_layout.tiles_capacity,
                .cursor_offset = shared_layout.cursor_offset,
                .cursor_capacity = shared_layout.cursor_capacity,
                .pixels_offset = shared_layout.pixels_offset,
                .pixels_capacity = shared_layout.pixels_capacity,
                .tile_side = shared_layout.tile_side} + 8, 128 - 8);
            atomic_store(&h->magic, KJU_MAGIC);
            kju_set_mode(argument, &shared_layout, &mode, next_random(&seed) >> 60);
            kju_set_live(argument, &(struct kju_live){WINDOW / 2, mode.stride, 1});
        }
    }
    return NULL;
}

static void changing_header(uint64_t count) {
    uint64_t seed = 9;
    void *memory = fresh(&shared_layout, &seed);
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, change_for_ever, memory));
    for (uint64_t i = 0; i < count; i++)
        look(memory, shared_layout.size, &seed);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    free(memory);
}
#endif

int main(int argc, char **argv) {
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    window = malloc(WINDOW);
    CHECK(window);
    memset(window, 7, WINDOW);
    random_windows(count);
    printf("%llu random windows: %llu there\n", (unsigned long long)count,
           (unsigned long long)windows);
    accepted = looked = windows = 0;
    random_headers(count);
    printf("%llu random headers: %llu accepted, %llu looked at, %llu through the window\n",
           (unsigned long long)count, (unsigned long long)accepted, (unsigned long long)looked,
           (unsigned long long)windows);
    CHECK(accepted > count / 50 && looked > count / 100 && windows > count / 100);
#ifndef KJU_TSAN
    accepted = looked = windows = 0;
    changing_header(count);
    printf("%llu looks under a changing header: %llu accepted, %llu looked at, %llu through the"
           " window\n", (unsigned long long)count, (unsigned long long)accepted,
           (unsigned long long)looked, (unsigned long long)windows);
    CHECK(accepted && looked && windows);
#endif
    free(window);
    return 0;
}
