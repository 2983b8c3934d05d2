/* Any display that Linux has a DRM driver for: dumb buffers, damage by dirtyfb, page flips. */
#include "paint.h"

#include <drm.h>
#include <drm_fourcc.h>
#include <drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct buffer {
    uint32_t handle, fb, stride;
    uint32_t *pixels;
    size_t size;
};

struct head {
    int card;
    uint32_t connector, crtc;
    struct drm_mode_modeinfo mode;
    struct buffer buffers[2];
    int drawn; /* the buffer being drawn in */
    struct buffer cursor;
};

static bool create(int card, int width, int height, struct buffer *buffer)
{
    struct drm_mode_create_dumb dumb = {
        .width = (uint32_t)width, .height = (uint32_t)height, .bpp = 32};
    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0)
        return false;
    struct drm_mode_map_dumb where = {.handle = dumb.handle};
    if (ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &where) < 0)
        return false;
    void *pixels =
        mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)where.offset);
    if (pixels == MAP_FAILED)
        return false;
    memset(pixels, 0, dumb.size);
    *buffer = (struct buffer){
        .handle = dumb.handle, .stride = dumb.pitch, .pixels = pixels, .size = dumb.size};
    return true;
}

static bool create_fb(int card, int width, int height, struct buffer *buffer)
{
    if (!create(card, width, height, buffer))
        return false;
    struct drm_mode_fb_cmd2 fb = {.width = (uint32_t)width,
                                  .height = (uint32_t)height,
                                  .pixel_format = DRM_FORMAT_XRGB8888,
                                  .handles = {buffer->handle},
                                  .pitches = {buffer->stride}};
    if (ioctl(card, DRM_IOCTL_MODE_ADDFB2, &fb) < 0)
        return false;
    buffer->fb = fb.fb_id;
    return true;
}

static void destroy(int card, struct buffer *buffer)
{
    if (!buffer->pixels)
        return;
    munmap(buffer->pixels, buffer->size);
    if (buffer->fb)
        ioctl(card, DRM_IOCTL_MODE_RMFB, &buffer->fb);
    ioctl(card, DRM_IOCTL_MODE_DESTROY_DUMB,
          &(struct drm_mode_destroy_dumb){.handle = buffer->handle});
    *buffer = (struct buffer){0};
}

static bool show(struct head *head, const struct buffer *buffer)
{
    struct drm_mode_crtc crtc = {.set_connectors_ptr = (uintptr_t)&head->connector,
                                 .count_connectors = buffer ? 1 : 0,
                                 .crtc_id = head->crtc,
                                 .fb_id = buffer ? buffer->fb : 0,
                                 .mode_valid = buffer != NULL,
                                 .mode = head->mode};
    return ioctl(head->card, DRM_IOCTL_MODE_SETCRTC, &crtc) == 0;
}

/* A timing that a paravirtual display accepts for any size; nobody waits for these pulses. */
static struct drm_mode_modeinfo timing(int width, int height)
{
    struct drm_mode_modeinfo mode = {.hdisplay = (uint16_t)width,
                                     .hsync_start = (uint16_t)(width + 16),
                                     .hsync_end = (uint16_t)(width + 48),
                                     .htotal = (uint16_t)(width + 96),
                                     .vdisplay = (uint16_t)height,
                                     .vsync_start = (uint16_t)(height + 3),
                                     .vsync_end = (uint16_t)(height + 6),
                                     .vtotal = (uint16_t)(height + 24),
                                     .vrefresh = 60,
                                     .type = DRM_MODE_TYPE_USERDEF,
                                     .name = "paint"};
    mode.clock = (uint32_t)mode.htotal * mode.vtotal * 60 / 1000;
    return mode;
}

static bool resize(struct screen *screen, int width, int height)
{
    struct head *head = screen->own, old = *head;
    struct buffer fresh[2] = {0};
    if (!create_fb(head->card, width, height, &fresh[0]) ||
        !create_fb(head->card, width, height, &fresh[1]))
        goto fail;
    head->mode = timing(width, height);
    head->buffers[0] = fresh[0];
    head->buffers[1] = fresh[1];
    head->drawn = 0;
    if (!show(head, &head->buffers[0]))
        goto fail;
    destroy(head->card, &old.buffers[0]);
    destroy(head->card, &old.buffers[1]);
    screen->width = width;
    screen->height = height;
    screen->stride = (int)(head->buffers[0].stride / 4);
    screen->pixels = head->buffers[0].pixels;
    return true;
fail:
    say("no mode %dx%d: %s", width, height, strerror(errno));
    *head = old;
    destroy(head->card, &fresh[0]);
    destroy(head->card, &fresh[1]);
    return false;
}

static void flush(struct screen *screen, const struct rect *rects, int count)
{
    struct head *head = screen->own;
    struct drm_clip_rect clips[8];
    if (count > 8)
        count = 8;
    for (int i = 0; i < count; i++)
        clips[i] = (struct drm_clip_rect){
            .x1 = (uint16_t)rects[i].x,
            .y1 = (uint16_t)rects[i].y,
            .x2 = (uint16_t)(rects[i].x + rects[i].width),
            .y2 = (uint16_t)(rects[i].y + rects[i].height),
        };
    struct drm_mode_fb_dirty_cmd dirty = {.fb_id = head->buffers[head->drawn].fb,
                                          .num_clips = (uint32_t)count,
                                          .clips_ptr = (uintptr_t)clips};
    ioctl(head->card, DRM_IOCTL_MODE_DIRTYFB, &dirty); /* ENOSYS: the device reads by itself */
}

static void flip(struct screen *screen)
{
    struct head *head = screen->own;
    struct buffer *ready = &head->buffers[head->drawn];
    struct drm_mode_crtc_page_flip page = {
        .crtc_id = head->crtc, .fb_id = ready->fb, .flags = DRM_MODE_PAGE_FLIP_EVENT};
    char event[256];
    if (ioctl(head->card, DRM_IOCTL_MODE_PAGE_FLIP, &page) == 0) {
        if (read(head->card, event, sizeof event) < 0)
            say("flip: %s", strerror(errno));
    } else {
        show(head, ready);
    }
    head->drawn = !head->drawn;
    screen->pixels = head->buffers[head->drawn].pixels;
}

static void blank(struct screen *screen, bool dark)
{
    struct head *head = screen->own;
    show(head, dark ? NULL : &head->buffers[head->drawn]);
}

static void cursor(struct screen *screen, const uint32_t *argb, int size, int hot_x, int hot_y)
{
    struct head *head = screen->own;
    if (!head->cursor.pixels && !create(head->card, 64, 64, &head->cursor))
        return;
    for (int y = 0; y < size && y < 64; y++)
        memcpy(head->cursor.pixels + y * 64, argb + y * size, (size_t)size * 4);
    struct drm_mode_cursor2 shape = {.flags = DRM_MODE_CURSOR_BO,
                                     .crtc_id = head->crtc,
                                     .width = 64,
                                     .height = 64,
                                     .handle = head->cursor.handle,
                                     .hot_x = hot_x,
                                     .hot_y = hot_y};
    if (ioctl(head->card, DRM_IOCTL_MODE_CURSOR2, &shape) < 0)
        say("no cursor: %s", strerror(errno));
}

static void move(struct screen *screen, int x, int y)
{
    struct head *head = screen->own;
    struct drm_mode_cursor2 to = {
        .flags = DRM_MODE_CURSOR_MOVE, .crtc_id = head->crtc, .x = x, .y = y};
    ioctl(head->card, DRM_IOCTL_MODE_CURSOR2, &to);
}

static bool preferred(int card, uint32_t id, int *width, int *height);

static bool prefers(struct screen *screen, int *width, int *height)
{
    const struct head *head = screen->own;
    return preferred(head->card, head->connector, width, height);
}

static const struct screen_ops ops = {.name = "drm",
                                      .flush = flush,
                                      .flip = flip,
                                      .resize = resize,
                                      .blank = blank,
                                      .cursor = cursor,
                                      .move = move,
                                      .preferred = prefers};

/* The size a connected display prefers; false if nothing is connected. */
static bool preferred(int card, uint32_t id, int *width, int *height)
{
    struct drm_mode_modeinfo modes[128];
    struct drm_mode_get_connector connector = {.connector_id = id};
    if (ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &connector) < 0) /* counts, and probes */
        return false;
    connector.count_props = connector.count_encoders = 0;
    if (connector.count_modes > 128)
        connector.count_modes = 128;
    connector.modes_ptr = (uintptr_t)modes;
    if (ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &connector) < 0 || connector.count_modes == 0)
        return false;
    *width = modes[0].hdisplay;
    *height = modes[0].vdisplay;
    return connector.connection == 1;
}

int drm_open(struct screen *heads, int count, int width, int height)
{
    int card = -1, opened = 0;
    for (int tries = 0; card < 0 && tries < 100; tries++) { /* devtmpfs may be a moment behind */
        card = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
        if (card < 0)
            usleep(10000);
    }
    uint32_t connectors[MAX_HEADS] = {0}, crtcs[MAX_HEADS] = {0};
    struct drm_mode_card_res all = {.connector_id_ptr = (uintptr_t)connectors,
                                    .crtc_id_ptr = (uintptr_t)crtcs,
                                    .count_connectors = MAX_HEADS,
                                    .count_crtcs = MAX_HEADS};
    if (card < 0 || ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &all) < 0)
        return 0;
    for (int i = 0; opened < count && i < (int)all.count_connectors && i < (int)all.count_crtcs;
         i++) {
        int across = 1024, down = 768;
        bool connected = preferred(card, connectors[i], &across, &down);
        /* A head that was asked for by number is lit even where nothing says it is connected. */
        if (!connected && count == 1)
            continue;
        struct head *head = calloc(1, sizeof *head);
        *head = (struct head){.card = card, .connector = connectors[i], .crtc = crtcs[i]};
        heads[opened] = (struct screen){.ops = &ops, .own = head};
        if (resize(&heads[opened], width ? width : across, height ? height : down))
            opened++;
    }
    return opened;
}

int hotplug_open(void)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int all = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (all >= 0 && bind(all, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        close(all);
        return -1;
    }
    return all;
}

bool hotplug_read(int descriptor)
{
    char event[4096]; /* texts, each with a zero at its end */
    bool plugged = false;
    for (ssize_t size; (size = recv(descriptor, event, sizeof event - 1, 0)) > 0;) {
        event[size] = 0;
        for (const char *at = event; at < event + size; at += strlen(at) + 1)
            plugged = plugged || strcmp(at, "HOTPLUG=1") == 0;
    }
    return plugged;
}
