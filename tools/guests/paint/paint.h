/*
 * paint: the whole user space of kju's test guest.
 *
 * It is init. It loads the drivers of the devices it finds, draws what the kernel's command line
 * asks for, says on the serial line what it does, and takes a few commands there. guests.md lists
 * the options, the commands and the squares that a program can read back from the picture.
 */
#ifndef PAINT_H
#define PAINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct rect {
    int x, y, width, height;
};

/* One head that can be drawn on. The pixels are 32-bit words 0x00RRGGBB; stride counts words. */
struct screen {
    int width, height, stride;
    uint32_t *pixels; /* where to draw now; a flip changes it */
    const struct screen_ops *ops;
    void *own;
};

struct screen_ops {
    const char *name;
    /* Tells the device what was drawn. Memory that the device scans by itself needs nothing. */
    void (*flush)(struct screen *, const struct rect *rects, int count);
    /* Shows what was drawn and turns to the other buffer. */
    void (*flip)(struct screen *);
    /* Changes the mode. False leaves the old one. */
    bool (*resize)(struct screen *, int width, int height);
    void (*blank)(struct screen *, bool dark);
    /* Both may be NULL. */
    void (*cursor)(struct screen *, const uint32_t *argb, int size, int hot_x, int hot_y);
    void (*move)(struct screen *, int x, int y);
    /* The size that the display prefers now. May be NULL. False: nothing is connected. */
    bool (*preferred)(struct screen *, int *width, int *height);
};

/* The ways onto a screen. Each returns how many heads it opened, 0 if its device is not there. */
enum { MAX_HEADS = 4 };
int drm_open(struct screen *heads, int count, int width, int height);
int vram_open(struct screen *head, int width, int height, int virtual_width);

/* Drawing. All of it clips. */
void fill(struct screen *, struct rect, uint32_t colour);
void text(struct screen *, int x, int y, int scale, uint32_t colour, const char *words);
void backdrop(struct screen *, unsigned shift);
int text_width(int scale, const char *words);

/* For measuring: see measure.c. */
struct stamp {
    uint32_t pixels[4];
};
void stamp_take(struct stamp *, unsigned counter); /* now */
void stamp_put(struct screen *, int x, int y, const struct stamp *);
int64_t random_wait(const char *range); /* "1000-1300": that many milliseconds, in nanoseconds */
bool tell_clock(unsigned count);
void noise(struct screen *);
void scroll(struct screen *, struct rect page, int rows);

/* Keyboards and pointers, through evdev. */
struct input {
    unsigned presses; /* key presses since boot */
    int code;         /* the last key that went up or down */
    bool down;
    int x, y; /* pointer, 0..32767 */
    bool moved, keyed;
    bool quiet; /* keys are not told on the serial line */
};
enum { MAX_INPUTS = 16 };
extern unsigned input_repeat_delay; /* ms until a held key repeats; 0: the kernel's own */
int input_descriptors(int *descriptors, int most); /* looks for new devices, too */
void input_read(int descriptor, struct input *);
void input_forget(int descriptor);

/* What is shown, and what was asked for: main.c's. */
enum mode { STILL, ANIMATE, FLIP, BOX, RESIZE, BLANK, SCROLL, NOISE, TEXT, SHELL, MODES };
enum { SQUARE = 64 };
extern const char *const mode_names[MODES];
extern struct screen heads[MAX_HEADS];
extern int head_count;
extern enum mode mode;
extern unsigned frame;
extern struct input input;
extern FILE *terminal;      /* text and shell only */
extern bool stamped;        /* kju.stamp: squares carry the time, a key changes only its own */
extern char self_range[32]; /* kju.self: between two changes of the square that no key changes */

/* Drawing it: picture.c. */
void show_all(void);
void show_key(void);
void show_self(void);
void show_box(struct screen *);
void show_scroll(struct screen *);
void show_pointer(void);
void define_cursor(void);

/* Changes of the displays, from the kernel: drm.c. A descriptor, -1 if there is none; and whether
 * one is announced, after which no more are waiting. */
int hotplug_open(void);
bool hotplug_read(int descriptor);

/* What tests have it do with registers and video memory. False: it is no such command. */
bool command(const char *line);

/* Drivers. */
void load_drivers(bool graphics, bool console);
bool load_module(const char *name, const char *options);
bool reload_module(const char *name); /* its devices start anew */

/* The kernel's command line. */
const char *option(const char *name, const char *otherwise);
int number(const char *name, int otherwise);
bool size_of(const char *words, int *width, int *height);

/* A line on the serial console, "kju: ..." */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
