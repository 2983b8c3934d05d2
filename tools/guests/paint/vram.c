/*
 * The standard VGA and bochs-display without a driver: mode registers and video memory are mapped
 * from the PCI device's own files, so what is drawn is in the guest's VRAM at once and no kernel
 * code stands between (Linux's own frame buffer emulation adds 50 ms).
 *
 * Source: QEMU's docs/specs/standard-vga.rst (BAR 0 memory, BAR 2 registers).
 */
#include "paint.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { XRES = 1, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY };
enum { ON = 0x01, LINEAR = 0x40, KEEP = 0x80 };

struct vram {
    volatile uint16_t *dispi; /* BAR 2 + 0x500 */
    volatile uint8_t *vga;    /* BAR 2 + 0x400: I/O ports 0x3c0 and on */
    uint32_t *memory;
    size_t size;
    int virtual_width, page;
};

static void *map(const char *folder, const char *name, size_t *size)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &status) < 0)
        return NULL;
    *size = (size_t)status.st_size;
    void *memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool is_vga(const char *folder)
{
    char path[PATH_MAX], words[64] = "";
    snprintf(path, sizeof path, "%s/modalias", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(words, sizeof words, file) != NULL;
    fclose(file);
    return read && strncmp(words, "pci:v00001234d00001111", 22) == 0;
}

/* The palette's address bit decides whether VGA shows anything at all (attribute controller). */
static void attribute(struct vram *own, bool dark)
{
    (void)own->vga[0x1a]; /* 0x3da: the next write to 0x3c0 is an address */
    own->vga[0x00] = dark ? 0x00 : 0x20;
}

static bool set_mode(struct screen *screen, int width, int height)
{
    struct vram *own = screen->own;
    int across = own->virtual_width > width ? own->virtual_width : width;
    if ((size_t)across * (size_t)height * 4 > own->size)
        return false;
    own->dispi[ENABLE] = 0;
    own->dispi[BPP] = 32;
    own->dispi[XRES] = (uint16_t)width;
    own->dispi[YRES] = (uint16_t)height;
    own->dispi[BANK] = 0;
    own->dispi[VIRT_WIDTH] = (uint16_t)across;
    own->dispi[ENABLE] = ON | LINEAR;
    own->dispi[VIRT_WIDTH] = (uint16_t)across; /* enabling sets it to the width */
    own->dispi[X_OFFSET] = 0;
    own->dispi[Y_OFFSET] = 0;
    attribute(own, false);
    screen->width = own->dispi[XRES];
    screen->height = own->dispi[YRES];
    screen->stride = own->dispi[VIRT_WIDTH];
    screen->pixels = own->memory;
    own->page = 0;
    return true;
}

static void flush(struct screen *screen, const struct rect *rects, int count)
{
    (void)screen, (void)rects, (void)count;
}

static void flip(struct screen *screen)
{
    struct vram *own = screen->own;
    size_t page = (size_t)screen->stride * (size_t)screen->height;
    own->dispi[Y_OFFSET] = (uint16_t)(own->page ? screen->height : 0);
    own->page = !own->page && page * 8 <= own->size;
    screen->pixels = own->memory + (own->page ? page : 0);
}

static void blank(struct screen *screen, bool dark)
{
    attribute(screen->own, dark);
}

static const struct screen_ops ops = {
    .name = "vram", .flush = flush, .flip = flip, .resize = set_mode, .blank = blank};

int vram_open(struct screen *screen, int width, int height, int virtual_width)
{
    static const char *const all = "/sys/bus/pci/devices";
    char folder[PATH_MAX] = "";
    DIR *devices = opendir(all);
    for (struct dirent *entry; devices && (entry = readdir(devices));) {
        snprintf(folder, sizeof folder, "%s/%s", all, entry->d_name);
        if (is_vga(folder))
            break;
        folder[0] = 0;
    }
    if (devices)
        closedir(devices);
    if (!folder[0])
        return 0;

    char enable[PATH_MAX + 8];
    snprintf(enable, sizeof enable, "%s/enable", folder);
    int descriptor = open(enable, O_WRONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        if (write(descriptor, "1", 1) != 1)
            say("cannot enable %s", folder);
        close(descriptor);
    }
    struct vram *own = calloc(1, sizeof *own);
    size_t registers = 0;
    uint8_t *bar = map(folder, "resource2", &registers);
    own->memory = map(folder, "resource0_wc", &own->size);
    if (!own->memory)
        own->memory = map(folder, "resource0", &own->size);
    if (!bar || !own->memory || registers < 0x516) {
        say("cannot map %s", folder);
        return 0;
    }
    own->vga = bar + 0x400;
    own->dispi = (volatile uint16_t *)(bar + 0x500);
    size_t size = (size_t)own->dispi[MEMORY] * 65536;
    if (size && size < own->size)
        own->size = size;
    own->virtual_width = virtual_width;
    *screen = (struct screen){.ops = &ops, .own = own};
    return set_mode(screen, width, height) ? 1 : 0;
}
