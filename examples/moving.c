/* A producer in C: a moving picture in a named file, which other programs can read.
 *
 *     cc -std=gnu11 -O2 -I include -o moving examples/moving.c
 *     ./moving /tmp/moving.kju 600 &
 *     python examples/watch.py /tmp/moving.kju
 *
 * It includes surface.h and no other file of kju. It publishes FRAMES pictures (0: without end),
 * sixty a second, each with its two changed rectangles. Then it closes the surface; the file
 * stays and holds the last picture.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "kju/surface.h"

enum { WIDTH = 640, HEIGHT = 480, BALL = 48, FRAMES_A_SECOND = 60 };

static volatile sig_atomic_t stopped;
static void stop(int number) {
    (void)number;
    stopped = 1;
}

struct screen {
    void *memory;
    struct kju_layout layout;
    struct kju_mode mode;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Create the file under another name, and move it into place when it is complete. */
static void make(struct screen *s, const char *path) {
    char hidden[4096];
    if (kju_plan(&s->layout, WIDTH * HEIGHT * 4, 32, WIDTH, HEIGHT))
        fail("the layout is impossible");
    if (getrandom(&s->layout.incarnation, sizeof s->layout.incarnation, 0) < 0)
        fail("getrandom");
    snprintf(hidden, sizeof hidden, "%s.%d", path, (int)getpid());
    int fd = open(hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)s->layout.size))
        fail(hidden);
    /* The kernel releases the lock when this process ends, so that readers notice the end. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    s->layout.producer_locks = !fcntl(fd, F_OFD_SETLK, &lock);
    s->memory = mmap(NULL, s->layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s->memory == MAP_FAILED)
        fail("mmap");
    s->layout.producer_pid = (uint32_t)getpid();
    kju_format(s->memory, &s->layout);
    if (rename(hidden, path))
        fail(path);
}

static void fill(struct screen *s, struct kju_rect r, uint32_t colour) {
    for (uint32_t y = r.y; y < r.y + r.height; y++) {
        uint32_t *row = (uint32_t *)(kju_pixels(s->memory, &s->layout) +
                                     (uint64_t)y * s->mode.stride);
        for (uint32_t x = r.x; x < r.x + r.width; x++)
            row[x] = colour;
    }
}

/* Publish a mode and its whole picture in one step. */
static void show(struct screen *s) {
    s->mode = (struct kju_mode){.width = WIDTH, .height = HEIGHT, .stride = WIDTH * 4,
                                .fourcc = KJU_XR24};
    if (kju_check_mode(&s->layout, &s->mode))
        fail("the mode does not fit");
    uint64_t version = kju_next_version(s->memory);
    kju_begin(s->memory);
    kju_set_mode(s->memory, &s->layout, &s->mode, version);
    fill(s, (struct kju_rect){0, 0, WIDTH, HEIGHT}, 0x203040);
    kju_end(s->memory, version);
}

/* Return the place at `time` of an object that bounces between 0 and `limit`. */
static uint32_t bounce(uint64_t time, uint32_t limit) {
    uint32_t at = (uint32_t)(time % (2 * limit));
    return at < limit ? at : 2 * limit - at;
}

int main(int argc, char **argv) {
    struct screen s = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE [FRAMES]\n", argv[0]);
        return 2;
    }
    uint64_t frames = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    make(&s, argv[1]);
    show(&s);
    printf("%s\n", argv[1]);
    fflush(stdout);
    struct kju_rect rects[2] = {{0, 0, BALL, BALL}, {0, 0, BALL, BALL}};
    struct timespec pause = {0, 1000000000 / FRAMES_A_SECOND};
    for (uint64_t n = 0; !stopped && (!frames || n < frames); n++) {
        rects[0] = rects[1];
        rects[1].x = bounce(4 * n, WIDTH - BALL);
        rects[1].y = bounce(3 * n, HEIGHT - BALL);
        kju_begin(s.memory);
        fill(&s, rects[0], 0x203040);
        fill(&s, rects[1], 0xffa000);
        kju_publish(s.memory, &s.layout, &s.mode, rects, 2);
        nanosleep(&pause, NULL);
    }
    kju_set_state(s.memory, KJU_CLOSED, "");
    return 0;
}
