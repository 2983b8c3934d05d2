/* Prediction of pixels from their neighbours, for the PREDICT items of pixels.h.
 *
 * A row of a rectangle is `width` bytes of each channel, one channel after the other: on a picture
 * of 4 bytes a pixel green, blue - green and red - green (modulo 256), else the only one. */
#ifndef KJU_PREDICT_H
#define KJU_PREDICT_H

#include "pixels.h"

/* Read one row of a rectangle as channels. */
void kju_split_row(const struct kju_picture *p, struct kju_rect r, uint32_t y, uint8_t *to);
/* Write one row of a rectangle from its channels. */
void kju_join_row(const struct kju_picture *p, struct kju_rect r, uint32_t y, const uint8_t *from);

/* Subtract the prediction from a row of one channel. `above` is zero for the first row. */
void kju_residuals(const uint8_t *row, const uint8_t *above, uint32_t width, uint32_t how,
                   uint8_t *to);
/* Restore a row of every channel from its residuals: the inverse of kju_residuals. The residuals of
 * a channel begin `plane` bytes after those of the channel before. */
void kju_restore(const uint8_t *residuals, size_t plane, const uint8_t *above, uint32_t width,
                 uint32_t channels, uint32_t how, uint8_t *to);

#endif
