/* kju/surface.h: a screen in shared memory, and a protocol that announces its changes.
 *
 * This header is the specification of the format and all the code that a producer or a
 * consumer written in C needs. It includes no other file of kju. Requires C11 with
 * _GNU_SOURCE (or -std=gnu11, for syscall(2)) and little-endian, 64-bit Linux.
 *
 * SPDX-License-Identifier: MIT
 *
 * The order of reads and writes
 * -----------------------------
 * Producer:  pixels, then the tiles' versions, then the surface's version, then the
 *            pulse, then a wake.
 * Consumer:  the pulse, then the surface's version V, then every tile newer than the N
 *            it remembers, then the pixels; only then N = V, the version read before the
 *            tiles, never a tile's.
 * If the version is still N, the consumer takes nothing, even if a tile is newer: the
 * producer is publishing it, or was killed while it did.
 * Pixels drawn during a copy get a version above V; the consumer takes them next time.
 * So when the producer stops, every consumer that has caught up has all its pixels.
 *
 * N is valid only within one (incarnation, epoch). In another one the consumer takes
 * everything. It reads the epoch again after copying, before it commits N. Every wait is
 * limited (KJU_WAIT_CAP_MS) and followed by another check, so that a consumer wakes even if
 * the pulse wraps or the producer dies.
 *
 * Memory orders
 * -------------
 * tiles[i]         release store after the pixels / acquire load before the pixels.
 * version          release store after the tiles / acquire load before the tiles.
 * pulse            release add after the version / acquire load before the version.
 * sequence         odd while pixels are written; a consumer that needs exactly one
 *                  version copies between two equal, even readings.
 * mode_sequence,   odd while their fields are written; odd for nanoseconds. Fields are
 * cursor_sequence  release stores / acquire loads, so that the odd value is seen first
 *                  and the second reading stays last, without fences.
 * Pixels are plain data, raced by design; they are copied only by kju_copy_pixels.
 *
 * Hostile memory: a consumer copies the constant part once (kju_check), checks the copy
 * and uses only the copy. The mode is read again and checked against it every time.
 */
#ifndef KJU_SURFACE_H
#define KJU_SURFACE_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kju surfaces are little-endian"
#endif

#define KJU_MAGIC UINT64_C(0x667275732d756a6b) /* the bytes "kju-surf" */
#define KJU_FORMAT 1u           /* increased when an old reader would misread */
#define KJU_HEADER_SIZE 4096u   /* bytes before the tile table */
#define KJU_PAGE 4096u          /* alignment of the parts */
#define KJU_REASON_SIZE 128u    /* bytes of UTF-8 text, NUL-terminated */
#define KJU_CURSOR_SIDE 512u    /* widest and highest cursor shape, pixels */
#define KJU_WAIT_CAP_MS 500     /* longest sleep between two checks */
#define KJU_MAX_SIDE 65535u     /* widest and highest mode, pixels */
#define KJU_MAX_PIXELS 268435456u /* of a mode: 16384 x 16384, since a reader may copy it */

#define KJU_FOURCC(a, b, c, d)                                                          \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define KJU_XR24 KJU_FOURCC('X', 'R', '2', '4') /* bytes B, G, R, X; X is undefined */
#define KJU_R8 KJU_FOURCC('R', '8', ' ', ' ')   /* one byte; also any linear buffer */

/* Feature bits: a reader refuses a surface with a bit it does not know. */
#define KJU_FEATURES_KNOWN 0u

enum kju_state {
    KJU_LIVE = 1,        /* the producer publishes */
    KJU_PAUSED = 2,      /* the machine is paused; the picture is valid */
    KJU_UNAVAILABLE = 3, /* no picture now, because of `reason` */
    KJU_SUPERSEDED = 4,  /* a larger surface has taken the address */
    KJU_GONE = 5,        /* the producer has ended because of `reason` */
    KJU_CLOSED = 6       /* the producer has closed the surface */
};

enum kju_result {
    KJU_OK = 0,
    KJU_BUSY = 1,         /* a sequence lock stayed odd; try again */
    KJU_E_SHORT = -1,     /* the memory is smaller than a header, or than `size` */
    KJU_E_MAGIC = -2,     /* not a surface */
    KJU_E_FORMAT = -3,    /* a version of the format this reader does not know */
    KJU_E_FEATURES = -4,  /* a feature this reader does not know */
    KJU_E_LAYOUT = -5,    /* parts that overlap or leave the memory */
    KJU_E_MODE = -6,      /* a mode that does not fit the parts */
    KJU_E_RECT = -7,      /* a rectangle or range outside the mode */
    KJU_E_CURSOR = -8,    /* a cursor that does not fit */
    KJU_E_LIVE = -9       /* no live window, or one that leaves its memory */
};

/* The header, at offset 0. "const" fields never change after the magic is written. */
struct kju_header {
    _Atomic uint64_t magic;       /* const: KJU_MAGIC; written last */
    uint32_t format;              /* const: KJU_FORMAT */
    uint32_t features;            /* const: feature bits */
    uint64_t incarnation;         /* const: random; new whenever a producer starts */
    uint64_t size;                /* const: bytes of the whole surface */
    uint64_t tiles_offset;        /* const: bytes to the tile table */
    uint64_t tiles_capacity;      /* const: entries in the tile table */
    uint64_t cursor_offset;       /* const: bytes to the cursor's shape */
    uint64_t cursor_capacity;     /* const: bytes of the cursor's shape */
    uint64_t pixels_offset;       /* const: bytes to the pixels, page-aligned */
    uint64_t pixels_capacity;     /* const: bytes of pixels */
    uint32_t tile_side;           /* const: pixels, 8 to 256, a power of two */
    uint32_t producer_pid;        /* const: process id, a hint; 0 is unknown */
    uint64_t producer_start;      /* const: start time in clock ticks since boot, a hint */
    uint64_t producer_namespace;  /* const: inode of the producer's pid namespace */
    uint32_t producer_locks;      /* const: 1: it holds a record lock on the file for life */
    uint8_t reserved_0[20];       /* zero */

    _Atomic uint64_t version;       /* newest published version; only grows */
    _Atomic uint32_t pulse;         /* futex word: +1 per publication, wraps */
    _Atomic uint32_t state;         /* enum kju_state */
    _Atomic uint32_t sequence;      /* odd while pixels are written */
    _Atomic uint32_t mode_sequence; /* odd while mode or reason are written */
    uint8_t reserved_1[40];         /* zero */

    _Atomic uint64_t epoch;       /* mode: +1 per mode change; 0: no mode yet */
    _Atomic uint32_t width;       /* mode: pixels */
    _Atomic uint32_t height;      /* mode: pixels */
    _Atomic uint32_t stride;      /* mode: bytes per row */
    _Atomic uint32_t fourcc;      /* mode: KJU_XR24 or KJU_R8 */
    _Atomic uint64_t live_offset; /* live window: bytes to its first pixel */
    _Atomic uint32_t live_stride; /* live window: bytes per row */
    _Atomic uint32_t live_number; /* live window: +1 per change; 0: no window */
    uint8_t reserved_2[24];       /* zero */

    _Atomic uint64_t cursor_version;  /* +1 per change of shape, position or visibility */
    _Atomic uint32_t cursor_sequence; /* odd while the cursor is written */
    _Atomic int32_t cursor_x;         /* position of the hot spot, pixels; may lie outside */
    _Atomic int32_t cursor_y;         /* position of the hot spot, pixels; may lie outside */
    _Atomic uint32_t cursor_visible;  /* 0 or 1 */
    _Atomic uint32_t cursor_width;    /* shape: pixels; 0: no shape */
    _Atomic uint32_t cursor_height;   /* shape: pixels */
    _Atomic uint32_t cursor_hot_x;    /* shape: hot spot from its left, pixels */
    _Atomic uint32_t cursor_hot_y;    /* shape: hot spot from its top, pixels */
    uint8_t reserved_3[24];           /* zero */

    _Atomic uint8_t reason[KJU_REASON_SIZE]; /* UTF-8, the reason for the state */
};

#define KJU_AT(field, offset)                                                           \
    _Static_assert(offsetof(struct kju_header, field) == (offset), #field " has moved")
KJU_AT(magic, 0);
KJU_AT(format, 8);
KJU_AT(features, 12);
KJU_AT(incarnation, 16);
KJU_AT(size, 24);
KJU_AT(tiles_offset, 32);
KJU_AT(tiles_capacity, 40);
KJU_AT(cursor_offset, 48);
KJU_AT(cursor_capacity, 56);
KJU_AT(pixels_offset, 64);
KJU_AT(pixels_capacity, 72);
KJU_AT(tile_side, 80);
KJU_AT(producer_pid, 84);
KJU_AT(producer_start, 88);
KJU_AT(producer_namespace, 96);
KJU_AT(producer_locks, 104);
KJU_AT(version, 128);
KJU_AT(pulse, 136);
KJU_AT(state, 140);
KJU_AT(sequence, 144);
KJU_AT(mode_sequence, 148);
KJU_AT(epoch, 192);
KJU_AT(width, 200);
KJU_AT(height, 204);
KJU_AT(stride, 208);
KJU_AT(fourcc, 212);
KJU_AT(live_offset, 216);
KJU_AT(live_stride, 224);
KJU_AT(live_number, 228);
KJU_AT(cursor_version, 256);
KJU_AT(cursor_sequence, 264);
KJU_AT(cursor_x, 268);
KJU_AT(cursor_y, 272);
KJU_AT(cursor_visible, 276);
KJU_AT(cursor_width, 280);
KJU_AT(cursor_height, 284);
KJU_AT(cursor_hot_x, 288);
KJU_AT(cursor_hot_y, 292);
KJU_AT(reason, 320);
_Static_assert(sizeof(struct kju_header) <= KJU_HEADER_SIZE, "the header outgrew its page");
#undef KJU_AT

/* ---- Layout: the size of a surface and the places of its parts ------------------ */

struct kju_layout { /* a checked, private copy of the constant part */
    uint64_t incarnation, size, tiles_offset, tiles_capacity, cursor_offset;
    uint64_t cursor_capacity, pixels_offset, pixels_capacity;
    uint64_t producer_start, producer_namespace;
    uint32_t tile_side, producer_pid, producer_locks;
};

struct kju_mode {
    uint64_t epoch;
    uint32_t width, height, stride, fourcc;
};

/* The live window: the place of the mode's pixels in the source's own memory, outside the surface.
 * They may be newer than the published pixels. A consumer that needs the newest pixels reads them
 * there, or asks the host to publish them. */
struct kju_live {
    uint64_t offset;
    uint32_t stride, number;
};

struct kju_rect {
    uint32_t x, y, width, height;
};

static inline uint64_t kju_page_up(uint64_t bytes) {
    return (bytes + KJU_PAGE - 1) & ~(uint64_t)(KJU_PAGE - 1);
}

static inline uint32_t kju_bytes_per_pixel(uint32_t fourcc) {
    return fourcc == KJU_XR24 ? 4 : fourcc == KJU_R8 ? 1 : 0;
}

/* Fill `layout` with a surface for up to `pixels_capacity` bytes of pixels and modes of
 * up to max_width x max_height. The tile table is sized for one-byte pixels. */
static inline int kju_plan(struct kju_layout *layout, uint64_t pixels_capacity,
                           uint32_t tile_side, uint32_t max_width, uint32_t max_height) {
    if (tile_side < 8 || tile_side > 256 || (tile_side & (tile_side - 1)) ||
        !pixels_capacity || pixels_capacity > UINT64_C(1) << 40 || !max_width ||
        !max_height || max_width > KJU_MAX_SIDE || max_height > KJU_MAX_SIDE)
        return KJU_E_LAYOUT;
    memset(layout, 0, sizeof *layout);
    layout->tile_side = tile_side;
    layout->pixels_capacity = kju_page_up(pixels_capacity);
    layout->tiles_offset = KJU_HEADER_SIZE;
    layout->tiles_capacity = layout->pixels_capacity / tile_side / tile_side +
                             ((uint64_t)max_width + max_height) / tile_side + 2;
    layout->cursor_offset = kju_page_up(layout->tiles_offset + layout->tiles_capacity * 8);
    layout->cursor_capacity = KJU_CURSOR_SIDE * KJU_CURSOR_SIDE * 4;
    layout->pixels_offset = layout->cursor_offset + layout->cursor_capacity;
    layout->size = layout->pixels_offset + layout->pixels_capacity;
    return KJU_OK;
}

static inline int kju_check_layout(const struct kju_layout *l, uint64_t length) {
    if (l->size > length)
        return KJU_E_SHORT;
    if (l->tile_side < 8 || l->tile_side > 256 || (l->tile_side & (l->tile_side - 1)))
        return KJU_E_LAYOUT;
    if (l->tiles_offset % 8 || l->tiles_offset < KJU_HEADER_SIZE ||
        l->tiles_offset > l->size || l->tiles_capacity > (l->size - l->tiles_offset) / 8)
        return KJU_E_LAYOUT;
    if (l->cursor_offset % 8 || l->cursor_offset < l->tiles_offset + l->tiles_capacity * 8 ||
        l->cursor_offset > l->size || l->cursor_capacity > l->size - l->cursor_offset)
        return KJU_E_LAYOUT;
    if (l->pixels_offset % KJU_PAGE ||
        l->pixels_offset < l->cursor_offset + l->cursor_capacity ||
        l->pixels_offset > l->size || l->pixels_capacity > l->size - l->pixels_offset)
        return KJU_E_LAYOUT;
    return KJU_OK;
}

/* Copy the constant part of a surface once, and check the copy. */
static inline int kju_check(const void *memory, uint64_t length, struct kju_layout *layout) {
    const struct kju_header *shared = memory;
    struct kju_header header;
    if (length < sizeof shared->magic ||
        atomic_load_explicit(&shared->magic, memory_order_acquire) != KJU_MAGIC)
        return KJU_E_MAGIC;
    if (length < KJU_HEADER_SIZE)
        return KJU_E_SHORT;
    memcpy((char *)&header + 8, (const char *)memory + 8, offsetof(struct kju_header, version) - 8);
    if (header.format != KJU_FORMAT)
        return KJU_E_FORMAT;
    if (header.features & ~KJU_FEATURES_KNOWN)
        return KJU_E_FEATURES;
    layout->incarnation = header.incarnation;
    layout->size = header.size;
    layout->tiles_offset = header.tiles_offset;
    layout->tiles_capacity = header.tiles_capacity;
    layout->cursor_offset = header.cursor_offset;
    layout->cursor_capacity = header.cursor_capacity;
    layout->pixels_offset = header.pixels_offset;
    layout->pixels_capacity = header.pixels_capacity;
    layout->producer_start = header.producer_start;
    layout->producer_namespace = header.producer_namespace;
    layout->tile_side = header.tile_side;
    layout->producer_pid = header.producer_pid;
    layout->producer_locks = header.producer_locks;
    return kju_check_layout(layout, length);
}

static inline uint32_t kju_tiles_across(uint32_t pixels, uint32_t tile_side) {
    return (pixels + tile_side - 1) / tile_side;
}

/* Check that a mode fits the surface; every later use of its numbers relies on this. */
static inline int kju_check_mode(const struct kju_layout *l, const struct kju_mode *m) {
    uint32_t bytes = kju_bytes_per_pixel(m->fourcc);
    if (!bytes || !m->width || !m->height || m->width > KJU_MAX_SIDE ||
        m->height > KJU_MAX_SIDE || (uint64_t)m->width * m->height > KJU_MAX_PIXELS ||
        m->stride < (uint64_t)m->width * bytes ||
        m->stride % bytes || (uint64_t)m->stride * m->height > l->pixels_capacity ||
        (uint64_t)kju_tiles_across(m->width, l->tile_side) *
                kju_tiles_across(m->height, l->tile_side) > l->tiles_capacity)
        return KJU_E_MODE;
    return KJU_OK;
}

/* Check that a checked mode has a live window, inside memory of `length` bytes; every later use of
 * its numbers relies on this. */
static inline int kju_check_live(const struct kju_mode *m, const struct kju_live *live,
                                 uint64_t length) {
    uint64_t row = (uint64_t)m->width * kju_bytes_per_pixel(m->fourcc);
    uint64_t bytes = (uint64_t)live->stride * (m->height - 1) + row; /* below 2^48 */
    return live->number && live->stride >= row && live->offset <= length &&
                   bytes <= length - live->offset
               ? KJU_OK
               : KJU_E_LIVE;
}

static inline int kju_check_rect(const struct kju_mode *m, const struct kju_rect *r) {
    return r->x <= m->width && r->y <= m->height && r->width <= m->width - r->x &&
                   r->height <= m->height - r->y
               ? KJU_OK
               : KJU_E_RECT;
}

static inline struct kju_header *kju_header_of(const void *memory) {
    return (struct kju_header *)(uintptr_t)memory;
}
static inline _Atomic uint64_t *kju_tiles(const void *memory, const struct kju_layout *l) {
    return (_Atomic uint64_t *)((uintptr_t)memory + l->tiles_offset);
}
static inline uint8_t *kju_pixels(const void *memory, const struct kju_layout *l) {
    return (uint8_t *)((uintptr_t)memory + l->pixels_offset);
}

/* The only function that copies raced bytes: pixels, cursor shapes, the reason. ThreadSanitizer
 * must not check it, and intercepts memcpy everywhere. */
#if defined(__SANITIZE_THREAD__)
#define KJU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KJU_TSAN 1
#endif
#endif
#ifdef KJU_TSAN
__attribute__((no_sanitize("thread"), noinline, unused)) static void
kju_copy_pixels(void *to, const void *from, size_t bytes) {
    volatile uint8_t *t = to;
    const volatile uint8_t *f = from;
    while (bytes--)
        *t++ = *f++;
}
#else
static inline void kju_copy_pixels(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
}
#endif

/* ---- Producer -------------------------------------------------------------------- */

/* Make a surface in zeroed, writable memory of `layout->size` bytes. */
static inline void kju_format(void *memory, const struct kju_layout *layout) {
    struct kju_header *h = memory;
    h->format = KJU_FORMAT;
    h->incarnation = layout->incarnation;
    h->size = layout->size;
    h->tiles_offset = layout->tiles_offset;
    h->tiles_capacity = layout->tiles_capacity;
    h->cursor_offset = layout->cursor_offset;
    h->cursor_capacity = layout->cursor_capacity;
    h->pixels_offset = layout->pixels_offset;
    h->pixels_capacity = layout->pixels_capacity;
    h->tile_side = layout->tile_side;
    h->producer_pid = layout->producer_pid;
    h->producer_locks = layout->producer_locks;
    h->producer_start = layout->producer_start;
    h->producer_namespace = layout->producer_namespace;
    atomic_store_explicit(&h->state, KJU_LIVE, memory_order_relaxed);
    atomic_store_explicit(&h->magic, KJU_MAGIC, memory_order_release);
}

static inline void kju_lock(_Atomic uint32_t *sequence) {
    atomic_store_explicit(sequence, atomic_load_explicit(sequence, memory_order_relaxed) | 1,
                          memory_order_relaxed);
}
static inline void kju_unlock(_Atomic uint32_t *sequence) {
    atomic_store_explicit(sequence,
                          (atomic_load_explicit(sequence, memory_order_relaxed) | 1) + 1,
                          memory_order_release);
}

static inline long kju_futex(_Atomic uint32_t *word, int operation, uint32_t value,
                             const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* Wake all consumers; also for changes other than pixels. */
static inline void kju_wake(void *memory) {
    struct kju_header *h = memory;
    atomic_fetch_add_explicit(&h->pulse, 1, memory_order_release);
    kju_futex(&h->pulse, FUTEX_WAKE, INT_MAX, NULL);
}

/* Call before writing pixels: consumers that need one exact version wait from now on. The fence
 * orders the odd value before the pixels; it pairs with the one in kju_same_sequence. */
static inline void kju_begin(void *memory) {
    kju_lock(&kju_header_of(memory)->sequence);
    atomic_thread_fence(memory_order_release);
}

static inline uint64_t kju_next_version(const void *memory) {
    return atomic_load_explicit(&kju_header_of(memory)->version, memory_order_relaxed) + 1;
}

/* Give every tile that touches `rect` (checked) a version. */
static inline void kju_mark(void *memory, const struct kju_layout *l, const struct kju_mode *m,
                            const struct kju_rect *rect, uint64_t version) {
    if (!rect->width || !rect->height)
        return;
    _Atomic uint64_t *tiles = kju_tiles(memory, l);
    uint32_t columns = kju_tiles_across(m->width, l->tile_side);
    uint32_t right = (rect->x + rect->width - 1) / l->tile_side;
    uint32_t bottom = (rect->y + rect->height - 1) / l->tile_side;
    for (uint32_t row = rect->y / l->tile_side; row <= bottom; row++)
        for (uint32_t column = rect->x / l->tile_side; column <= right; column++)
            atomic_store_explicit(&tiles[(uint64_t)row * columns + column], version,
                                  memory_order_release);
}

/* Call after writing pixels and tiles: increase the version, admit the exact readers, wake all. */
static inline void kju_end(void *memory, uint64_t version) {
    struct kju_header *h = memory;
    atomic_store_explicit(&h->version, version, memory_order_release);
    kju_unlock(&h->sequence);
    kju_wake(memory);
}

/* Publish rectangles whose pixels were drawn since kju_begin. KJU_E_RECT publishes nothing; exact
 * readers continue to wait, since pixels may have been drawn. */
static inline int kju_publish(void *memory, const struct kju_layout *l, const struct kju_mode *m,
                              const struct kju_rect *rects, size_t count) {
    uint64_t version = kju_next_version(memory);
    for (size_t i = 0; i < count; i++)
        if (kju_check_rect(m, &rects[i]))
            return KJU_E_RECT;
    for (size_t i = 0; i < count; i++)
        kju_mark(memory, l, m, &rects[i], version);
    kju_end(memory, version);
    return KJU_OK;
}

/* The up to three rectangles that cover bytes start .. start + length of the pixels. */
static inline int kju_range_rects(const struct kju_mode *m, uint64_t start, uint64_t length,
                                  struct kju_rect rects[3], size_t *count) {
    uint64_t total = (uint64_t)m->stride * m->height;
    uint32_t bytes = kju_bytes_per_pixel(m->fourcc), n = 0;
    if (start > total || length > total - start)
        return KJU_E_RECT;
    while (length && n < 3) { /* the end of a row, whole rows, the start of a row */
        uint32_t y = (uint32_t)(start / m->stride), first = (uint32_t)(start % m->stride);
        uint64_t taken = m->stride - first;
        uint32_t rows = 1, left = first / bytes, right = m->width;
        if (first || length < m->stride) {
            taken = length < taken ? length : taken;
            right = (uint32_t)((first + taken + bytes - 1) / bytes);
        } else {
            rows = (uint32_t)(length / m->stride);
            taken = (uint64_t)rows * m->stride;
        }
        right = right < m->width ? right : m->width; /* the rest of a row is padding */
        if (left < right)
            rects[n++] = (struct kju_rect){left, y, right - left, rows};
        start += taken;
        length -= taken;
    }
    *count = n;
    return KJU_OK;
}

/* Store a checked mode and give every tile `version`, between kju_begin and kju_end.
 * The epoch is one above the old. */
static inline void kju_set_mode(void *memory, const struct kju_layout *l, struct kju_mode *mode,
                                uint64_t version) {
    struct kju_header *h = memory;
    struct kju_rect whole = {0, 0, mode->width, mode->height};
    mode->epoch = atomic_load_explicit(&h->epoch, memory_order_relaxed) + 1;
    kju_lock(&h->mode_sequence);
    atomic_store_explicit(&h->epoch, mode->epoch, memory_order_release);
    atomic_store_explicit(&h->width, mode->width, memory_order_release);
    atomic_store_explicit(&h->height, mode->height, memory_order_release);
    atomic_store_explicit(&h->stride, mode->stride, memory_order_release);
    atomic_store_explicit(&h->fourcc, mode->fourcc, memory_order_release);
    atomic_store_explicit(&h->live_number, 0, memory_order_release);
    kju_unlock(&h->mode_sequence);
    /* Orders the epoch before the new mode's pixels; pairs with the consumer's fence between
     * its copy and its second reading of the mode. */
    atomic_thread_fence(memory_order_release);
    kju_mark(memory, l, mode, &whole, version);
}

/* Set the place of the mode's live window; number 0 removes it. No consumer wakes, since the pixels
 * have not changed. */
static inline void kju_set_live(void *memory, const struct kju_live *live) {
    struct kju_header *h = memory;
    kju_lock(&h->mode_sequence);
    atomic_store_explicit(&h->live_offset, live->offset, memory_order_release);
    atomic_store_explicit(&h->live_stride, live->stride, memory_order_release);
    atomic_store_explicit(&h->live_number, live->number, memory_order_release);
    kju_unlock(&h->mode_sequence);
}

/* Set the state and a reason (UTF-8, cut to fit) and wake all consumers. */
static inline void kju_set_state(void *memory, enum kju_state state, const char *reason) {
    struct kju_header *h = memory;
    size_t i = 0;
    kju_lock(&h->mode_sequence);
    for (; reason && reason[i] && i < KJU_REASON_SIZE - 1; i++)
        atomic_store_explicit(&h->reason[i], (uint8_t)reason[i], memory_order_release);
    for (; i < KJU_REASON_SIZE; i++)
        atomic_store_explicit(&h->reason[i], 0, memory_order_release);
    atomic_store_explicit(&h->state, state, memory_order_release);
    kju_unlock(&h->mode_sequence);
    kju_wake(memory);
}

/* ---- Consumer -------------------------------------------------------------------- */

static inline uint64_t kju_version(const void *memory) {
    return atomic_load_explicit(&kju_header_of(memory)->version, memory_order_acquire);
}
static inline uint32_t kju_pulse(const void *memory) {
    return atomic_load_explicit(&kju_header_of(memory)->pulse, memory_order_acquire);
}

/* Read the mode and its live window. KJU_BUSY: their writer did not finish. KJU_E_MODE: the mode is
 * invalid. The window is not checked: a consumer that has its memory calls kju_check_live with the
 * size of that memory. */
static inline int kju_read_live(const void *memory, const struct kju_layout *l,
                                struct kju_mode *mode, struct kju_live *live) {
    const struct kju_header *h = memory;
    for (int tries = 0; tries < 10000; tries++) {
        uint32_t before = atomic_load_explicit(&h->mode_sequence, memory_order_acquire);
        mode->epoch = atomic_load_explicit(&h->epoch, memory_order_acquire);
        mode->width = atomic_load_explicit(&h->width, memory_order_acquire);
        mode->height = atomic_load_explicit(&h->height, memory_order_acquire);
        mode->stride = atomic_load_explicit(&h->stride, memory_order_acquire);
        mode->fourcc = atomic_load_explicit(&h->fourcc, memory_order_acquire);
        live->offset = atomic_load_explicit(&h->live_offset, memory_order_acquire);
        live->stride = atomic_load_explicit(&h->live_stride, memory_order_acquire);
        live->number = atomic_load_explicit(&h->live_number, memory_order_acquire);
        if (!(before & 1) &&
            before == atomic_load_explicit(&h->mode_sequence, memory_order_relaxed))
            return mode->epoch ? kju_check_mode(l, mode) : KJU_OK;
    }
    return KJU_BUSY;
}

static inline int kju_read_mode(const void *memory, const struct kju_layout *l,
                                struct kju_mode *mode) {
    struct kju_live live;
    return kju_read_live(memory, l, mode, &live);
}

/* Read the sequence before an exact copy; it is odd while a producer writes. */
static inline uint32_t kju_sequence(const void *memory) {
    return atomic_load_explicit(&kju_header_of(memory)->sequence, memory_order_acquire);
}

/* Return whether nothing was written during an exact copy. The fence keeps the copy before the
 * second reading; it pairs with the one in kju_begin. */
static inline int kju_same_sequence(const void *memory, uint32_t before) {
    atomic_thread_fence(memory_order_acquire);
    return !(before & 1) && before == atomic_load_explicit(&kju_header_of(memory)->sequence,
                                                           memory_order_relaxed);
}

/* Whether tile `index` changed after version `since`. */
static inline int kju_tile_newer(const void *memory, const struct kju_layout *l, uint64_t index,
                                 uint64_t since) {
    return atomic_load_explicit(&kju_tiles(memory, l)[index], memory_order_acquire) > since;
}

/* Sleep until the pulse is no longer `pulse`, at most `timeout_ms` (capped; below zero: the
 * cap). Check again after any result: 0 (woken), ETIMEDOUT, EAGAIN (the pulse had changed), EINTR,
 * EFAULT. */
static inline int kju_wait(const void *memory, uint32_t pulse, int timeout_ms) {
    if (timeout_ms < 0 || timeout_ms > KJU_WAIT_CAP_MS)
        timeout_ms = KJU_WAIT_CAP_MS;
    struct timespec t = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
    return kju_futex(&kju_header_of(memory)->pulse, FUTEX_WAIT, pulse, &t) ? errno : 0;
}

#endif
