/* Loads the kernel modules of the devices that are there, and nothing else: a boot takes 3 s. */
#include "paint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    unsigned vendor, device, class; /* 0: any */
    const char *module;
    bool graphics;
} drivers[] = {
    {0x1af4, 0, 0, "virtio_pci", false},
    {0x1af4, 0x1052, 0, "virtio_input", false},
    {0x1af4, 0x1050, 0, "virtio_gpu", true},
    {0x1234, 0x1111, 0, "bochs", true},
    {0x1013, 0x00b8, 0, "cirrus", true},
    {0x1b36, 0x0100, 0, "qxl", true},
    {0x15ad, 0x0405, 0, "vmwgfx", true},
    {0, 0, 0x0c0300, "uhci_hcd", false},
    {0, 0, 0x0c0320, "ehci_pci", false},
    {0, 0, 0x0c0330, "xhci_pci", false},
};

/* /modules/depends has a line for each module: its name, then what it needs, in order. */
static bool find_depends(const char *name, char *line, int size)
{
    FILE *file = fopen("/modules/depends", "re");
    size_t length = strlen(name);
    bool found = false;
    while (file && !found && fgets(line, size, file))
        found = strncmp(line, name, length) == 0 && strchr(" \n", line[length]);
    if (file)
        fclose(file);
    return found;
}

bool load_module(const char *name, const char *options)
{
    char line[1024], path[PATH_MAX];
    if (!find_depends(name, line, sizeof line))
        return true; /* built in */
    char *rest, *word = strtok_r(line, " \n", &rest);
    while ((word = strtok_r(NULL, " \n", &rest)))
        load_module(word, strcmp(word, "drm_kms_helper") == 0 ? options : "");
    snprintf(path, sizeof path, "/modules/%s.ko", name);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool loaded = syscall(SYS_finit_module, descriptor, options, 0) == 0 || errno == EEXIST;
    if (!loaded)
        say("module %s: %s", name, strerror(errno));
    close(descriptor);
    return loaded;
}

bool reload_module(const char *name)
{
    if (syscall(SYS_delete_module, name, O_NONBLOCK) == 0)
        return load_module(name, "");
    say("module %s: %s", name, strerror(errno));
    return false;
}

static unsigned field(const char *device, const char *name)
{
    char path[PATH_MAX];
    unsigned value = 0;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", device, name);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%x", &value) != 1)
        value = 0;
    if (file)
        fclose(file);
    return value;
}

void load_drivers(bool graphics, bool console)
{
    /* Without it no console is drawn on the DRM device, which would be another painter there. */
    const char *options = console ? "" : "fbdev_emulation=0";
    load_module("evdev", "");
    load_module("psmouse", "");
    load_module("button", "");
    DIR *folder = opendir("/sys/bus/pci/devices");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        unsigned vendor = field(entry->d_name, "vendor"), device = field(entry->d_name, "device");
        unsigned class = field(entry->d_name, "class");
        for (unsigned i = 0; i < sizeof drivers / sizeof *drivers; i++) {
            if ((drivers[i].vendor && drivers[i].vendor != vendor) ||
                (drivers[i].device && drivers[i].device != device) ||
                (drivers[i].class && drivers[i].class != class) ||
                (drivers[i].graphics && !graphics))
                continue;
            if (drivers[i].class) {
                load_module("usbhid", "");
                load_module("hid_generic", "");
            }
            if (drivers[i].graphics)
                load_module("drm_kms_helper", options);
            load_module(drivers[i].module, "");
        }
    }
    if (folder)
        closedir(folder);
}
