/* Rectangles, letters and a background, in plain 32-bit pixels. */
#include "paint.h"

#include <string.h>

/* Five columns by seven rows, one byte a row, bit 4 the leftmost dot. */
static const struct {
    char letter;
    uint8_t rows[7];
} font[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 6, 8, 16, 31}},    {'3', {14, 17, 1, 6, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},
    {'8', {14, 17, 17, 14, 17, 17, 14}}, {'9', {14, 17, 17, 15, 1, 2, 12}},
    {'A', {4, 10, 17, 17, 31, 17, 17}},  {'B', {30, 17, 17, 30, 17, 17, 30}},
    {'C', {14, 17, 16, 16, 16, 17, 14}}, {'D', {28, 18, 17, 17, 17, 18, 28}},
    {'E', {31, 16, 16, 30, 16, 16, 31}}, {'F', {31, 16, 16, 30, 16, 16, 16}},
    {'G', {14, 17, 16, 23, 17, 17, 15}}, {'H', {17, 17, 17, 31, 17, 17, 17}},
    {'I', {14, 4, 4, 4, 4, 4, 14}},      {'J', {7, 2, 2, 2, 2, 18, 12}},
    {'K', {17, 18, 20, 24, 20, 18, 17}}, {'L', {16, 16, 16, 16, 16, 16, 31}},
    {'M', {17, 27, 21, 21, 17, 17, 17}}, {'N', {17, 25, 21, 19, 17, 17, 17}},
    {'O', {14, 17, 17, 17, 17, 17, 14}}, {'P', {30, 17, 17, 30, 16, 16, 16}},
    {'Q', {14, 17, 17, 17, 21, 18, 13}}, {'R', {30, 17, 17, 30, 20, 18, 17}},
    {'S', {15, 16, 16, 14, 1, 1, 30}},   {'T', {31, 4, 4, 4, 4, 4, 4}},
    {'U', {17, 17, 17, 17, 17, 17, 14}}, {'V', {17, 17, 17, 17, 17, 10, 4}},
    {'W', {17, 17, 17, 21, 21, 27, 17}}, {'X', {17, 17, 10, 4, 10, 17, 17}},
    {'Y', {17, 17, 10, 4, 4, 4, 4}},     {'Z', {31, 1, 2, 4, 8, 16, 31}},
    {':', {0, 4, 4, 0, 4, 4, 0}},        {'.', {0, 0, 0, 0, 0, 12, 12}},
    {'-', {0, 0, 0, 31, 0, 0, 0}},       {'#', {10, 10, 31, 10, 31, 10, 10}},
};

void fill(struct screen *screen, struct rect rect, uint32_t colour)
{
    int left = rect.x < 0 ? 0 : rect.x, top = rect.y < 0 ? 0 : rect.y;
    int right = rect.x + rect.width, bottom = rect.y + rect.height;
    if (right > screen->width)
        right = screen->width;
    if (bottom > screen->height)
        bottom = screen->height;
    for (int y = top; y < bottom; y++) {
        uint32_t *row = screen->pixels + (size_t)y * (size_t)screen->stride;
        for (int x = left; x < right; x++)
            row[x] = colour;
    }
}

static const uint8_t *glyph(char letter)
{
    if (letter >= 'a' && letter <= 'z')
        letter = (char)(letter - 'a' + 'A');
    for (unsigned i = 0; i < sizeof font / sizeof *font; i++)
        if (font[i].letter == letter)
            return font[i].rows;
    return NULL;
}

void text(struct screen *screen, int x, int y, int scale, uint32_t colour, const char *words)
{
    for (; *words; words++, x += 6 * scale) {
        const uint8_t *rows = glyph(*words);
        for (int row = 0; rows && row < 7; row++)
            for (int column = 0; column < 5; column++)
                if (rows[row] >> (4 - column) & 1)
                    fill(screen, (struct rect){x + column * scale, y + row * scale, scale, scale},
                         colour);
    }
}

int text_width(int scale, const char *words)
{
    return (int)strlen(words) * 6 * scale - scale;
}

/* A slope of colours under a grid, moved left by `shift`. No two neighbouring pixels of a row are
 * equal, so an odd shift changes all of them. A row repeats every 512 pixels: it is worked out
 * once and copied, because arithmetic is dear in an emulated guest. */
void backdrop(struct screen *screen, unsigned shift)
{
    enum { PERIOD = 512 };
    uint32_t row[PERIOD + 2];
    for (int y = 0; y < screen->height; y++) {
        uint32_t green = (uint32_t)(y * 160 / screen->height) + 16;
        if (y % 4 == 0 || y % 64 == 1)
            for (unsigned x = 0; x < PERIOD; x++) {
                uint32_t ramp = x < 256 ? x : 511 - x;
                bool line = x % 64 == 0;
                row[x] = line ? 0x506070 : (ramp / 2) << 16 | green << 8 | (x & 1) | 0x60;
            }
        if (y % 64 == 0)
            for (unsigned x = 0; x < PERIOD; x++)
                row[x] = 0x506070 + (x & 1);
        uint32_t *out = screen->pixels + (size_t)y * (size_t)screen->stride;
        unsigned from = shift % PERIOD;
        for (int x = 0; x < screen->width;) {
            int run = PERIOD - (int)from;
            if (run > screen->width - x)
                run = screen->width - x;
            memcpy(out + x, row + from, (size_t)run * 4);
            x += run;
            from = 0;
        }
    }
}
