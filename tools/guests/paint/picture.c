/* What the picture says: squares that a program can read back, panels for people, moving parts. */
#include "paint.h"

#include <stdio.h>
#include <string.h>

enum { BOX_SIDE = 32, LINE = 20 };
static const uint32_t PANEL = 0x101418, INK = 0xf0f0f0, ACCENT = 0x40c0ff;
static struct stamp key_stamp, self_stamp;
static unsigned self_changes;

static struct rect whole(const struct screen *screen)
{
    return (struct rect){0, 0, screen->width, screen->height};
}

static uint32_t key_colour(void)
{
    return (input.presses & 0xff) << 16 | (uint32_t)input.down << 8 | ((uint32_t)input.code & 0xff);
}

static void draw_key(struct screen *screen)
{
    char words[32];
    snprintf(words, sizeof words, "KEY %03d #%u", input.code, input.presses);
    fill(screen, (struct rect){SQUARE, 0, SQUARE, SQUARE}, key_colour());
    if (stamped) {
        stamp_put(screen, SQUARE, SQUARE - 1, &key_stamp);
        return;
    }
    fill(screen, (struct rect){0, SQUARE, 4 * SQUARE, 32}, PANEL);
    text(screen, 8, SQUARE + 6, 3, INK, words);
}

static struct rect self_square(void)
{
    return (struct rect){0, 2 * SQUARE, SQUARE, SQUARE};
}

static void draw_self(struct screen *screen)
{
    struct rect square = self_square();
    fill(screen, square, (self_changes & 0xff) << 8 | 0x400000);
    stamp_put(screen, square.x, square.y + SQUARE - 1, &self_stamp);
}

void show_self(void)
{
    self_changes++;
    for (int i = 0; i < head_count; i++) {
        struct rect square = self_square();
        stamp_take(&self_stamp, self_changes);
        draw_self(&heads[i]);
        heads[i].ops->flush(&heads[i], &square, 1);
    }
}

static struct rect box_track(const struct screen *screen)
{
    return (struct rect){0, screen->height * 3 / 4, screen->width, BOX_SIDE};
}

static struct rect box_at(const struct screen *screen, unsigned at)
{
    struct rect track = box_track(screen);
    unsigned room = (unsigned)(track.width - BOX_SIDE) + 1;
    return (struct rect){(int)(at * 8 % room), track.y, BOX_SIDE, BOX_SIDE};
}

static void draw_panel(struct screen *screen, int head)
{
    char words[64], size[32] = "";
    int scale = screen->width / 80;
    snprintf(words, sizeof words, "%06u", frame);
    int width = text_width(scale, words), height = 7 * scale;
    struct rect panel = {(screen->width - width) / 2 - scale, (screen->height - height) / 2 - scale,
                         width + 2 * scale, height + 2 * scale};
    fill(screen, panel, PANEL);
    text(screen, panel.x + scale, panel.y + scale, scale, INK, words);
    snprintf(size, sizeof size, "%dx%d", screen->width, screen->height);
    snprintf(words, sizeof words, "%s %s %s HEAD %d", mode_names[mode], screen->ops->name, size,
             head);
    fill(screen, (struct rect){2 * SQUARE, 0, text_width(3, words) + 24, 32}, PANEL);
    text(screen, 2 * SQUARE + 12, 6, 3, ACCENT, words);
}

/* Below the squares at the top and above the one at the bottom. */
static struct rect page_of(const struct screen *screen)
{
    int top = 3 * SQUARE, height = screen->height - SQUARE - top;
    return (struct rect){0, top, screen->width, height > LINE ? height / LINE * LINE : 0};
}

void show_scroll(struct screen *screen)
{
    static const char *const words = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG";
    struct rect page = page_of(screen), first = {0, 0, SQUARE, SQUARE};
    struct rect last = {screen->width - SQUARE, screen->height - SQUARE, SQUARE, SQUARE};
    struct rect line = {page.x, page.y + page.height - LINE, page.width, LINE};
    char number[16];
    fill(screen, first, frame & 0xffffff);
    scroll(screen, page, LINE);
    fill(screen, line, PANEL);
    snprintf(number, sizeof number, "%06u", frame);
    text(screen, line.x + 8, line.y + 3, 2, ACCENT, number);
    text(screen, line.x + 96, line.y + 3, 2, INK, words + frame % 16);
    fill(screen, last, frame & 0xffffff);
    struct rect all[] = {first, page, last};
    screen->ops->flush(screen, all, 3);
}

/* The square at the top is drawn first and the one at the bottom last: a picture in which they
 * differ was taken while it was being drawn. */
static void draw_all(struct screen *screen, int head)
{
    fill(screen, (struct rect){0, 0, SQUARE, SQUARE}, frame & 0xffffff);
    if (mode == NOISE)
        noise(screen);
    else
        backdrop(screen, frame * 3);
    fill(screen, (struct rect){0, 0, SQUARE, SQUARE}, frame & 0xffffff);
    draw_panel(screen, head);
    draw_key(screen);
    if (self_range[0])
        draw_self(screen);
    if (mode == SCROLL)
        fill(screen, page_of(screen), PANEL);
    if (mode == BOX) {
        fill(screen, box_track(screen), PANEL);
        fill(screen, box_at(screen, frame), frame | 0x400000);
    }
    fill(screen,
         (struct rect){screen->width - SQUARE, screen->height - SQUARE, SQUARE, SQUARE},
         frame & 0xffffff);
}

void show_all(void)
{
    for (int i = 0; i < head_count; i++) {
        struct rect all = whole(&heads[i]);
        draw_all(&heads[i], i);
        if (mode == FLIP)
            heads[i].ops->flip(&heads[i]);
        else
            heads[i].ops->flush(&heads[i], &all, 1);
    }
    if (terminal && mode == TEXT) {
        fprintf(terminal, "\033[3;1H\033[1;36mframe %06u\033[0m  key %03d #%u  ", frame, input.code,
                input.presses);
        fflush(terminal);
    }
}

void show_key(void)
{
    if (stamped) {
        /* Presses only, and nothing beside the square: one change for each. */
        static unsigned shown;
        if (shown == input.presses)
            return;
        shown = input.presses;
        stamp_take(&key_stamp, input.presses);
    }
    if (mode == FLIP || mode == TEXT) {
        show_all();
        return;
    }
    for (int i = 0; i < head_count; i++) {
        struct rect changed[] = {{SQUARE, 0, SQUARE, SQUARE}, {0, SQUARE, 4 * SQUARE, 32}};
        draw_key(&heads[i]);
        heads[i].ops->flush(&heads[i], changed, 2);
    }
}

void show_box(struct screen *screen)
{
    struct rect before = box_at(screen, frame - 1), now = box_at(screen, frame);
    fill(screen, before, PANEL);
    fill(screen, now, frame | 0x400000);
    struct rect changed[] = {before, now, {0, 0, SQUARE, SQUARE}};
    if (stamped)
        fill(screen, changed[2], frame & 0xffffff);
    screen->ops->flush(screen, changed, stamped ? 3 : 2);
}

void show_pointer(void)
{
    for (int i = 0; i < head_count; i++)
        if (heads[i].ops->move)
            heads[i].ops->move(&heads[i], input.x * heads[i].width / 32768,
                               input.y * heads[i].height / 32768);
}

void define_cursor(void)
{
    enum { SIDE = 32 };
    static uint32_t arrow[SIDE * SIDE];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) /* a half-clear edge shows what the alpha does */
            arrow[y * SIDE + x] = x + y >= 28 || x > y * 2 || y > x * 2 ? 0
                                  : x + y >= 26                         ? 0x80804000
                                                                        : 0xffffc000;
    for (int i = 0; i < head_count; i++)
        if (heads[i].ops->cursor)
            heads[i].ops->cursor(&heads[i], arrow, SIDE, 1, 1);
}
