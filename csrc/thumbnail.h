/* Thumbnails: a picture made smaller, in which each pixel is the exact average of the area that it
 * covers. Independent of Python and of surfaces. */
#ifndef KJU_THUMBNAIL_H
#define KJU_THUMBNAIL_H

#include <stddef.h>
#include <stdint.h>

#include "kju/surface.h"

struct kju_thumbnail {
    const uint8_t *from; /* the picture; it may change meanwhile */
    uint64_t from_size;  /* its bytes */
    uint64_t stride;     /* bytes of its rows */
    uint32_t width, height;
    uint32_t bytes; /* of a pixel: 4 (B, G, R and one that is set to 255) or 1 */
    uint8_t *to;    /* the thumbnail, its rows without padding */
    uint64_t to_size;
    uint32_t to_width, to_height; /* neither is larger than the picture's */
    struct kju_rect part; /* of the thumbnail: the pixels to compute; the others stay as they are */
};

/* Compute a part of the thumbnail, rounding to the nearest value and halves up. KJU_E_RECT: a side
 * is zero or larger than the picture's, the part leaves the thumbnail, or a size is too small.
 * -ENOMEM: a row's sums could not be allocated. Both change nothing. */
int kju_make_thumbnail(const struct kju_thumbnail *t);

#endif
