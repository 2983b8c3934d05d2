/* Damage: compares a source with the published pixels, copies the differences, and turns tiles
 * into rectangles. Uses surfaces and buffers, not Python. */
#ifndef KJU_DAMAGE_H
#define KJU_DAMAGE_H

#include "convert.h"
#include "kju/surface.h"

struct kju_writer { /* a producer's private state: layout and mode are never read back */
    void *memory;
    struct kju_layout layout;
    struct kju_mode mode; /* epoch 0: none yet */
};

struct kju_source { /* rows of pixels in a buffer, checked against `size` before use */
    const uint8_t *bytes;
    size_t size;
    uint64_t offset, stride;
    const struct kju_format_in *format;
};

/* Whether width x height pixels of the source lie within its bytes. */
int kju_check_source(const struct kju_source *s, uint32_t width, uint32_t height);

/* Publish a new mode in one step, with the source's pixels, or black without a source.
 * KJU_E_MODE or KJU_E_RECT change nothing. */
int kju_writer_mode(struct kju_writer *w, struct kju_mode mode, const struct kju_source *s);

/* Copy a source whose first pixel is the rectangle's origin, and publish the rectangle. */
int kju_writer_draw(struct kju_writer *w, const struct kju_rect *rect,
                    const struct kju_source *s);

/* Compare a source that is a whole frame, within `rects` rounded out to tiles (all of it
 * when count is 0); copy and publish the tiles that differ. `changed` gets their number.
 * The comparison runs before the odd section, so exact readers wait for the copy only. */
int kju_writer_compare(struct kju_writer *w, const struct kju_source *s,
                       const struct kju_rect *rects, size_t count, uint64_t *changed);

/* One comparison of a whole frame: the tiles that are marked as candidates. */
enum { KJU_SKIP = 0, KJU_CANDIDATE = 1, KJU_CHANGED = 2 };
struct kju_comparison {
    struct kju_writer *w;
    const struct kju_source *s;
    uint8_t *marks;   /* one per tile */
    uint8_t *scratch; /* one row of converted pixels; NULL where nothing is converted */
    uint32_t columns, rows;
};

/* Compare the candidates of a checked source, mark those that differ as changed, copy and
 * publish them. Returns their number. */
uint64_t kju_compare_marked(struct kju_comparison *c);

/* Whether the source can be a whole frame of the mode: KJU_OK, or KJU_E_RECT. */
int kju_check_frame(const struct kju_writer *w, const struct kju_source *s);

/* Whether raced bytes differ. A race can only make the answer late, never wrong for good:
 * the next comparison sees the same pixels again. */
int kju_differ(const uint8_t *a, const uint8_t *b, size_t bytes);

/* Tiles newer than `since` as rectangles that do not overlap: runs within a row of tiles,
 * merged downwards where the next row has the same run. Returns their number. `rects` has
 * room for kju_most_rects; `starts` is scratch, one entry per tile across. */
size_t kju_newer_rects(const void *memory, const struct kju_layout *l, const struct kju_mode *m,
                       uint64_t since, struct kju_rect *rects, uint32_t *starts);
size_t kju_most_rects(const struct kju_layout *l, const struct kju_mode *m);

#endif
