/* init: sets the guest up, then draws, listens to keys and obeys the serial line, in one loop. */
#define _GNU_SOURCE /* ppoll */
#include "paint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kd.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum mode { STILL, ANIMATE, FLIP, BOX, RESIZE, BLANK, TEXT, SHELL, MODES };
static const char *const mode_names[MODES] = {"still",  "animate", "flip", "box",
                                              "resize", "blank",   "text", "shell"};
/* Frames a second, where kju.rate does not say. */
static const int rates[MODES] = {0, 60, 60, 60, 2, 2, 2, 0};

enum { SQUARE = 64, BOX_SIDE = 32, KEY_POWER_CODE = 116 };
static const uint32_t PANEL = 0x101418, INK = 0xf0f0f0, ACCENT = 0x40c0ff;

static struct screen heads[MAX_HEADS];
static int head_count;
static enum mode mode;
static unsigned frame, last_frame; /* last_frame 0: never stop */
static bool going = true;
static struct input input;
static FILE *terminal; /* text and shell only */

void say(const char *format, ...)
{
    char line[256];
    va_list rest;
    va_start(rest, format);
    int size = vsnprintf(line, sizeof line - 1, format, rest);
    va_end(rest);
    if (size < 0)
        return;
    if (size > (int)sizeof line - 2)
        size = sizeof line - 2;
    line[size] = 0;
    printf("kju: %s\r\n", line);
    fflush(stdout);
}

const char *option(const char *name, const char *otherwise)
{
    static char words[2048];
    if (!words[0]) {
        FILE *file = fopen("/proc/cmdline", "re");
        if (!file || !fgets(words, sizeof words, file))
            words[0] = '\n';
        if (file)
            fclose(file);
    }
    static char value[256];
    char key[64];
    int length = snprintf(key, sizeof key, "kju.%s=", name);
    for (const char *at = words; (at = strstr(at, key)); at++) {
        if (at != words && at[-1] != ' ')
            continue;
        at += length;
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, " \n"), at);
        return value;
    }
    return otherwise;
}

int number(const char *name, int otherwise)
{
    const char *words = option(name, "");
    return words[0] ? atoi(words) : otherwise;
}

bool size_of(const char *words, int *width, int *height)
{
    return sscanf(words, "%dx%d", width, height) == 2 && *width >= 64 && *height >= 64 &&
           *width <= 8192 && *height <= 8192;
}

/* ---- what the picture says ---- */

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
    fill(screen, (struct rect){0, SQUARE, 4 * SQUARE, 32}, PANEL);
    text(screen, 8, SQUARE + 6, 3, INK, words);
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

/* The square at the top is drawn first and the one at the bottom last: a picture in which they
 * differ was taken while it was being drawn. */
static void draw_all(struct screen *screen, int head)
{
    fill(screen, (struct rect){0, 0, SQUARE, SQUARE}, frame & 0xffffff);
    backdrop(screen, frame * 3);
    fill(screen, (struct rect){0, 0, SQUARE, SQUARE}, frame & 0xffffff);
    draw_panel(screen, head);
    draw_key(screen);
    if (mode == BOX) {
        fill(screen, box_track(screen), PANEL);
        fill(screen, box_at(screen, frame), frame | 0x400000);
    }
    fill(screen,
         (struct rect){screen->width - SQUARE, screen->height - SQUARE, SQUARE, SQUARE},
         frame & 0xffffff);
}

static void show_all(void)
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

static void show_key(void)
{
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

static void show_box(struct screen *screen)
{
    struct rect before = box_at(screen, frame - 1), now = box_at(screen, frame);
    fill(screen, before, PANEL);
    fill(screen, now, frame | 0x400000);
    struct rect both[] = {before, now};
    screen->ops->flush(screen, both, 2);
}

static void show_pointer(void)
{
    for (int i = 0; i < head_count; i++)
        if (heads[i].ops->move)
            heads[i].ops->move(&heads[i], input.x * heads[i].width / 32768,
                               input.y * heads[i].height / 32768);
}

static void define_cursor(void)
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

static void resize(int width, int height)
{
    for (int i = 0; i < head_count; i++)
        heads[i].ops->resize(&heads[i], width, height);
    show_all();
    if (head_count)
        say("mode %dx%d", heads[0].width, heads[0].height);
}

static void resize_to_next(void)
{
    const char *sizes = option("sizes", "640x480,800x600,1024x768,1280x800,1920x1080,1276x714");
    int count = 1, width, height;
    for (const char *at = sizes; (at = strchr(at, ',')); at++)
        count++;
    const char *at = sizes;
    for (unsigned skip = frame % (unsigned)count; skip; skip--)
        at = strchr(at, ',') + 1;
    if (size_of(at, &width, &height))
        resize(width, height);
}

static void step(void)
{
    frame++;
    switch (mode) {
    case BOX:
        for (int i = 0; i < head_count; i++)
            show_box(&heads[i]);
        break;
    case RESIZE:
        resize_to_next();
        break;
    case BLANK:
        for (int i = 0; i < head_count; i++)
            heads[i].ops->blank(&heads[i], frame % 2);
        say(frame % 2 ? "dark" : "lit");
        break;
    default:
        show_all();
    }
    if (last_frame && frame == last_frame) {
        going = false;
        say("done %u", frame);
    }
}

/* ---- what it is told ---- */

static bool set_mode(const char *name)
{
    for (int i = 0; i < TEXT; i++)
        if (strcmp(name, mode_names[i]) == 0) {
            bool flipped = mode == FLIP;
            mode = (enum mode)i;
            for (int head = 0; flipped && head < head_count; head++) /* back to one buffer */
                heads[head].ops->resize(&heads[head], heads[head].width, heads[head].height);
            return true;
        }
    return false;
}

static void obey(char *line)
{
    int width, height;
    unsigned count;
    line[strcspn(line, "\r\n")] = 0;
    if (strcmp(line, "stop") == 0) {
        going = false;
    } else if (strcmp(line, "go") == 0) {
        going = true;
    } else if (sscanf(line, "step %u", &count) == 1) { /* so many more frames, then rest */
        last_frame = frame + count;
        going = true;
        return;
    } else if (strncmp(line, "size ", 5) == 0 && size_of(line + 5, &width, &height)) {
        resize(width, height);
        return;
    } else if (strcmp(line, "dark") == 0 || strcmp(line, "lit") == 0) {
        for (int i = 0; i < head_count; i++)
            heads[i].ops->blank(&heads[i], line[0] == 'd');
    } else if (strcmp(line, "off") == 0) {
        say("off");
        reboot(RB_POWER_OFF);
    } else if (strcmp(line, "reset") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (set_mode(line)) {
        last_frame = 0;
        going = true;
        show_all();
    } else if (command(line)) {
        return;
    } else if (line[0]) {
        say("? %s", line);
        return;
    }
    say("%s %s frame %u", mode_names[mode], going ? "going" : "resting", frame);
}

static void read_commands(void)
{
    static char line[128];
    static size_t used;
    ssize_t size = read(0, line + used, sizeof line - 1 - used);
    if (size <= 0)
        return;
    used += (size_t)size;
    line[used] = 0;
    for (char *end; (end = strpbrk(line, "\r\n"));) {
        *end = 0;
        obey(line);
        used -= (size_t)(end + 1 - line);
        memmove(line, end + 1, used + 1);
    }
    if (used == sizeof line - 1)
        used = 0;
}

/* ---- the machine ---- */

static void mount_all(void)
{
    mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir("/tmp", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    setenv("PATH", "/bin", 1);
}

static void quiet_serial(void)
{
    struct termios settings;
    if (tcgetattr(0, &settings) == 0) {
        settings.c_lflag &= (tcflag_t) ~(ECHO | ICANON);
        tcsetattr(0, TCSANOW, &settings);
    }
}

static void open_terminal(void)
{
    terminal = fopen("/dev/tty1", "r+e");
    if (terminal && mode == TEXT) {
        fputs("\033[2J\033[H\033[1;37;44m kju paint: text \033[0m\r\n", terminal);
        for (int i = 0; i < 16; i++)
            fprintf(terminal, "\033[%d;1H\033[3%dm#%02d the quick brown fox jumps over\033[0m",
                    i + 5, i % 8, i);
        fflush(terminal);
        struct termios settings;
        if (tcgetattr(fileno(terminal), &settings) == 0) {
            settings.c_lflag &= (tcflag_t)~ECHO;
            tcsetattr(fileno(terminal), TCSANOW, &settings);
        }
    }
}

static void start_shell(void)
{
    if (fork() != 0)
        return;
    setsid();
    int descriptor = open("/dev/tty1", O_RDWR);
    ioctl(descriptor, TIOCSCTTY, 1);
    for (int i = 0; i < 3; i++)
        dup2(descriptor, i);
    setenv("PS1", "kju$ ", 1);
    setenv("TERM", "linux", 1);
    execl("/bin/busybox", "sh", "-i", NULL);
    _exit(1);
}

static void open_screens(void)
{
    int width = 0, height = 0, count = number("heads", 1);
    bool console = mode == TEXT || mode == SHELL;
    bool drm = strcmp(option("via", console ? "vga" : "drm"), "drm") == 0;
    bool vram = strcmp(option("via", ""), "vram") == 0;
    size_of(option("size", ""), &width, &height);
    load_drivers(drm, console);
    if (console) {
        open_terminal();
        return;
    }
    if (drm)
        head_count = drm_open(heads, count > MAX_HEADS ? MAX_HEADS : count, width, height);
    int tty = open("/dev/tty1", O_RDWR | O_CLOEXEC); /* no console text into our memory */
    if (tty >= 0)
        ioctl(tty, KDSETMODE, KD_GRAPHICS);
    if (vram || (!drm && !head_count))
        head_count = vram_open(&heads[0], width ? width : 1280, height ? height : 800,
                               number("virtual", 0));
    if (!head_count)
        say("no screen");
    else
        say("mode %dx%d", heads[0].width, heads[0].height);
    if (head_count && number("cursor", 0)) {
        define_cursor();
        show_pointer();
    }
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void take_input(const struct pollfd *ready, int count)
{
    input.keyed = input.moved = false;
    for (int i = 0; i < count; i++) {
        if (ready[i].revents & (POLLHUP | POLLERR))
            input_forget(ready[i].fd);
        else if (ready[i].revents)
            input_read(ready[i].fd, &input);
    }
    if (input.keyed)
        show_key();
    if (input.moved)
        show_pointer();
    if (input.keyed && input.down && input.code == KEY_POWER_CODE) {
        say("off");
        reboot(RB_POWER_OFF);
    }
}

static void run(void)
{
    struct pollfd polled[1 + MAX_INPUTS] = {{.fd = 0, .events = POLLIN}};
    int descriptors[MAX_INPUTS], count = 0;
    int64_t next = now(), rescan = 0;
    for (;;) {
        int64_t time = now();
        if (time >= rescan) {
            count = input_descriptors(descriptors, MAX_INPUTS);
            rescan = time + 500000000;
        }
        for (int i = 0; i < count; i++)
            polled[1 + i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
        int rate = number("rate", rates[mode]);
        bool ticking = going && rate > 0;
        int64_t wait = (ticking && next < rescan ? next : rescan) - time;
        struct timespec most = {.tv_sec = wait > 0 ? wait / 1000000000 : 0,
                                .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
        if (ppoll(polled, (nfds_t)(1 + count), &most, NULL) > 0) {
            if (polled[0].revents & POLLIN)
                read_commands();
            take_input(polled + 1, count);
            rescan = count ? rescan : 0;
        }
        if (ticking && going && now() >= next) {
            step();
            next += 1000000000 / rate;
            if (next < now()) /* never two frames to catch up: the guest shows what it can */
                next = now();
        }
        if (waitpid(-1, NULL, WNOHANG) > 0 && mode == SHELL)
            start_shell();
    }
}

int main(void)
{
    mount_all();
    quiet_serial();
    reboot(RB_DISABLE_CAD); /* Ctrl-Alt-Del is a key like others here */
    signal(SIGINT, SIG_IGN);
    const char *wanted = option("mode", "animate");
    mode = ANIMATE;
    for (int i = 0; i < MODES; i++)
        if (strcmp(wanted, mode_names[i]) == 0)
            mode = (enum mode)i;
    last_frame = (unsigned)number("frames", 0);
    open_screens();
    show_all();
    int descriptors[MAX_INPUTS];
    for (int tries = 0; tries < 100 && !input_descriptors(descriptors, MAX_INPUTS); tries++)
        usleep(20000);
    if (mode == SHELL)
        start_shell();
    say("ready");
    run();
}
