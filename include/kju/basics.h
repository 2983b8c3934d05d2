/* kju/basics.h: rectangles and results, for any C11 compiler: no system header is included.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef KJU_BASICS_H
#define KJU_BASICS_H

#include <stdint.h>

struct kju_rect {
    uint32_t x, y, width, height;
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

#endif
