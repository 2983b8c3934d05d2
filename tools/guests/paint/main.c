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

const char *const mode_names[MODES] = {"still", "animate", "flip",  "box",  "resize",
                                       "blank", "scroll",  "noise", "text", "shell"};
/* Frames a second, where kju.rate does not say. */
static const int rates[MODES] = {0, 60, 60, 60, 2, 2, 30, 30, 2, 0};

enum { KEY_POWER_CODE = 116 };

struct screen heads[MAX_HEADS];
int head_count;
enum mode mode;
unsigned frame;
struct input input;
FILE *terminal;
bool stamped;
char self_range[32];
static unsigned last_frame; /* 0: never stop */
static bool going = true;
static int64_t self_due; /* when the square changes that no key changes */
static int rate;         /* kju.rate, or what was told since; 0: the mode's own */

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

static void resize(int width, int height)
{
    for (int i = 0; i < head_count; i++)
        heads[i].ops->resize(&heads[i], width, height);
    show_all();
    if (head_count)
        say("mode %dx%d", heads[0].width, heads[0].height);
}

/* Takes the sizes that the displays prefer. */
static void follow(void)
{
    bool changed = false;
    for (int i = 0; i < head_count; i++) {
        struct screen *head = &heads[i];
        int width, height;
        if (head->ops->preferred && head->ops->preferred(head, &width, &height) &&
            (width != head->width || height != head->height))
            changed = head->ops->resize(head, width, height) || changed;
    }
    if (!changed)
        return;
    show_all();
    for (int i = 0; i < head_count; i++)
        say("head %d %dx%d", i, heads[i].width, heads[i].height);
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
    case SCROLL:
        for (int i = 0; i < head_count; i++)
            show_scroll(&heads[i]);
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

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void set_self(const char *range)
{
    snprintf(self_range, sizeof self_range, "%s", range);
    self_due = now() + random_wait(self_range);
}

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
    } else if (sscanf(line, "rate %u", &count) == 1) {
        rate = (int)count;
    } else if (strncmp(line, "self", 4) == 0) { /* "self" alone ends it */
        set_self(line + (line[4] == ' ' ? 5 : 4));
    } else if (sscanf(line, "clock %u", &count) == 1) {
        say(tell_clock(count) ? "clock told" : "clock: no port");
        return;
    } else if (sscanf(line, "step %u", &count) == 1) { /* so many more frames, then rest */
        last_frame = frame + count;
        going = true;
        return;
    } else if (strncmp(line, "size ", 5) == 0 && size_of(line + 5, &width, &height)) {
        resize(width, height);
        return;
    } else if (strncmp(line, "reload ", 7) == 0) {
        say(reload_module(line + 7) ? "reloaded" : "reload failed");
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
    int hotplug = number("follow", 0) ? hotplug_open() : -1; /* poll ignores -1 */
    struct pollfd polled[2 + MAX_INPUTS] = {{.fd = 0, .events = POLLIN},
                                            {.fd = hotplug, .events = POLLIN}};
    int descriptors[MAX_INPUTS], count = 0;
    int64_t next = now(), rescan = 0;
    for (;;) {
        int64_t time = now();
        if (time >= rescan) {
            count = input_descriptors(descriptors, MAX_INPUTS);
            rescan = time + 500000000;
        }
        for (int i = 0; i < count; i++)
            polled[2 + i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
        int rate_now = rate ? rate : rates[mode];
        bool ticking = going && rate_now > 0;
        int64_t wake = ticking && next < rescan ? next : rescan;
        if (self_range[0] && self_due < wake)
            wake = self_due;
        int64_t wait = wake - time;
        struct timespec most = {.tv_sec = wait > 0 ? wait / 1000000000 : 0,
                                .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
        if (ppoll(polled, (nfds_t)(2 + count), &most, NULL) > 0) {
            if (polled[0].revents & POLLIN)
                read_commands();
            if (polled[1].revents & POLLIN && hotplug_read(hotplug))
                follow();
            take_input(polled + 2, count);
            rescan = count ? rescan : 0;
        }
        if (ticking && going && now() >= next) {
            step();
            next += 1000000000 / rate_now;
            if (next < now()) /* never two frames to catch up: the guest shows what it can */
                next = now();
        }
        if (self_range[0] && now() >= self_due) {
            show_self();
            self_due = now() + random_wait(self_range);
        }
        if (waitpid(-1, NULL, WNOHANG) > 0 && mode == SHELL)
            start_shell();
    }
}

int main(void)
{
    mount_all();
    quiet_serial();
    reboot(RB_DISABLE_CAD); /* Ctrl+Alt+Del is a key like others here */
    signal(SIGINT, SIG_IGN);
    const char *wanted = option("mode", "animate");
    mode = ANIMATE;
    for (int i = 0; i < MODES; i++)
        if (strcmp(wanted, mode_names[i]) == 0)
            mode = (enum mode)i;
    last_frame = (unsigned)number("frames", 0);
    stamped = input.quiet = number("stamp", 0) != 0;
    rate = number("rate", 0);
    set_self(option("self", ""));
    /* A starved guest reads the release of a key late, and would repeat the key until then. */
    input_repeat_delay = mode == SHELL ? 60000 : 0;
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
