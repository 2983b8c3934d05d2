/*
 * What measuring needs: pixels that carry the time of the store, a square that changes by itself,
 * and the two clocks' difference.
 *
 * The time is the processor's time stamp counter. An emulated or virtualised guest reads the
 * computer's own counter plus a constant, so a program outside needs only that constant: `clock`
 * writes readings to port 0xe9 (QEMU's isa-debugcon), each of which leaves QEMU within
 * microseconds, and the earliest arrival of many gives it.
 */
#include "paint.h"

#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>
#include <x86intrin.h>

enum { DEBUG_PORT = 0xe9 };

/* Four pixels: the counter's low 8 bits and the time in the first three, the counter in the
 * fourth, stored last. A look that met the store finds the two counters different. */
void stamp_take(struct stamp *stamp, unsigned counter)
{
    uint64_t time = __rdtsc();
    stamp->pixels[0] = (uint32_t)(time & 0xffffff);
    stamp->pixels[1] = (uint32_t)(time >> 24 & 0xffffff);
    stamp->pixels[2] = (uint32_t)(time >> 48 & 0xffff) | (counter & 0xff) << 16;
    stamp->pixels[3] = counter & 0xffffff;
}

void stamp_put(struct screen *screen, int x, int y, const struct stamp *stamp)
{
    volatile uint32_t *at = screen->pixels + (size_t)y * (size_t)screen->stride + x;
    for (int i = 0; i < 4; i++)
        at[i] = stamp->pixels[i];
}

static uint32_t chance(void)
{
    static uint32_t state;
    if (!state)
        state = (uint32_t)__rdtsc() | 1;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

int64_t random_wait(const char *range)
{
    char *rest;
    long low = strtol(range, &rest, 10), high = *rest == '-' ? strtol(rest + 1, NULL, 10) : low;
    long more = high > low ? (long)(chance() % (uint32_t)(high - low)) : 0;
    return (int64_t)(low + more) * 1000000;
}

/* Each reading: a mark, then eight bytes. The mark's arrival is what is timed outside. */
bool tell_clock(unsigned count)
{
    if (ioperm(DEBUG_PORT, 1, 1) != 0)
        return false;
    for (; count; count--) {
        uint64_t time = __rdtsc();
        outb('T', DEBUG_PORT);
        for (int i = 0; i < 8; i++)
            outb((uint8_t)(time >> 8 * i), DEBUG_PORT);
        usleep(2000);
    }
    return true;
}

/* Every row is a piece of one row of noise: fresh noise for each pixel would be the guest's
 * arithmetic that is measured. */
void noise(struct screen *screen)
{
    enum { LENGTH = 16384 };
    static uint32_t dots[LENGTH];
    for (int i = 0; !dots[LENGTH - 1] && i < LENGTH; i++)
        dots[i] = (chance() & 0xffffff) | 1;
    for (int y = 0; y < screen->height; y++)
        memcpy(screen->pixels + (size_t)y * (size_t)screen->stride,
               dots + chance() % (LENGTH - (unsigned)screen->width), (size_t)screen->width * 4);
}

void scroll(struct screen *screen, struct rect page, int rows)
{
    for (int y = page.y; y + rows < page.y + page.height; y++) {
        uint32_t *row = screen->pixels + (size_t)y * (size_t)screen->stride + page.x;
        memcpy(row, row + (size_t)rows * (size_t)screen->stride, (size_t)page.width * 4);
    }
}
