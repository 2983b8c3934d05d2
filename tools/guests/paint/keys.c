/* Keyboards and pointers as evdev gives them; every key that moves is told on the serial line. */
#include "paint.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/input.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    char name[32]; /* event0; empty: free */
    int descriptor;
} devices[MAX_INPUTS];

unsigned input_repeat_delay;

static bool known(const char *name)
{
    for (int i = 0; i < MAX_INPUTS; i++)
        if (strcmp(devices[i].name, name) == 0)
            return true;
    return false;
}

static void add(const char *name)
{
    char path[PATH_MAX], title[64] = "?";
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (devices[i].name[0])
            continue;
        snprintf(path, sizeof path, "/dev/input/%s", name);
        int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (descriptor < 0)
            return;
        devices[i].descriptor = descriptor;
        snprintf(devices[i].name, sizeof devices[i].name, "%s", name);
        ioctl(descriptor, EVIOCGNAME(sizeof title), title);
        if (input_repeat_delay)
            ioctl(descriptor, EVIOCSREP, (unsigned[]){input_repeat_delay, 1000});
        say("input %s", title);
        return;
    }
}

int input_descriptors(int *descriptors, int most)
{
    int count = 0;
    DIR *folder = opendir("/dev/input");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, "event", 5) == 0 && !known(entry->d_name))
            add(entry->d_name);
    if (folder)
        closedir(folder);
    for (int i = 0; i < MAX_INPUTS && count < most; i++)
        if (devices[i].name[0])
            descriptors[count++] = devices[i].descriptor;
    return count;
}

void input_forget(int descriptor)
{
    for (int i = 0; i < MAX_INPUTS; i++)
        if (devices[i].name[0] && devices[i].descriptor == descriptor)
            devices[i].name[0] = 0;
    close(descriptor);
}

static void take(const struct input_event *event, struct input *input)
{
    static const char *const verbs[] = {"up", "down", "repeat"};
    if (event->type == EV_KEY && event->value >= 0 && event->value <= 2) {
        input->code = event->code;
        input->down = event->value != 0;
        input->presses += event->value == 1;
        input->keyed |= event->value != 2;
        if (event->code >= BTN_MOUSE && event->code <= BTN_TASK)
            say("button %d %s at %d %d", event->code, verbs[event->value], input->x, input->y);
        else if (!input->quiet)
            say("key %d %s", event->code, verbs[event->value]);
    } else if (event->type == EV_ABS && event->code == ABS_X) {
        input->x = event->value;
        input->moved = true;
    } else if (event->type == EV_ABS && event->code == ABS_Y) {
        input->y = event->value;
        input->moved = true;
    } else if (event->type == EV_REL && event->code == REL_X) {
        input->x += event->value * 32;
        input->moved = true;
    } else if (event->type == EV_REL && event->code == REL_Y) {
        input->y += event->value * 32;
        input->moved = true;
    } else if (event->type == EV_REL && event->code == REL_WHEEL) {
        say("wheel %d", event->value);
    } else if (event->type == EV_REL && event->code == REL_HWHEEL) {
        say("sideways %d", event->value);
    } else if (event->type == EV_ABS && event->code == ABS_MT_TRACKING_ID) {
        say("finger %d", event->value);
    } else if (event->type == EV_ABS && event->code == ABS_MT_POSITION_X) {
        say("finger x %d", event->value);
    } else if (event->type == EV_ABS && event->code == ABS_MT_POSITION_Y) {
        say("finger y %d", event->value);
    } else if (event->type == EV_SYN && event->code == SYN_DROPPED) {
        say("input dropped");
    }
    input->x = input->x < 0 ? 0 : input->x > 32767 ? 32767 : input->x;
    input->y = input->y < 0 ? 0 : input->y > 32767 ? 32767 : input->y;
}

void input_read(int descriptor, struct input *input)
{
    struct input_event events[64];
    for (;;) {
        ssize_t size = read(descriptor, events, sizeof events);
        if (size <= 0)
            return;
        for (size_t i = 0; i < (size_t)size / sizeof *events; i++)
            take(&events[i], input);
    }
}
