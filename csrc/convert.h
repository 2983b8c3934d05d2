/* Pixel conversion, one row at a time: out of the surface for consumers, into it for
 * sources that are not XR24. Every row function may be given any alignment. */
#ifndef KJU_CONVERT_H
#define KJU_CONVERT_H

#include <stddef.h>
#include <stdint.h>

typedef void (*kju_row)(uint8_t *restrict to, const uint8_t *restrict from, size_t pixels);

struct kju_format_in { /* of a source: converted to XR24 */
    const char *name;
    uint32_t bytes; /* per source pixel */
    kju_row row;    /* NULL: already XR24, no conversion */
};

struct kju_format_out { /* requested by a consumer: converted from XR24 */
    const char *name;
    uint32_t channels; /* bytes per pixel given */
    kju_row row;       /* NULL: no conversion */
};

/* NULL for an unknown name. */
const struct kju_format_in *kju_find_in(const char *name);
const struct kju_format_out *kju_find_out(const char *name);

#endif
