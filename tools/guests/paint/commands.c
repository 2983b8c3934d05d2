/*
 * What tests have a guest do with a Bochs display by hand, beside what it draws: any register,
 * any VGA port, video memory at any place, and more changes than any driver would make.
 *
 * Each answers with one line. Numbers are C's: 10, 0x10.
 *
 *   card N                          the N-th of the displays, in PCI order, for what follows
 *   reg INDEX [VALUE]               a dispi register
 *   port PORT [VALUE]               a VGA port, 0x3c0 to 0x3df
 *   order VALUE                     the byte order's register
 *   set W H BPP [VIRTUAL X Y]       a mode, in the order in which drivers write the registers
 *   fill SEED OFFSET BYTES          video memory with words, the n-th (n + SEED) * 2654435761
 *   block X Y W H COLOUR [STRIDE]   a rectangle, in rows STRIDE bytes apart (as the mode has)
 *   save, restore                   the VGA registers: a text mode before and after
 *   flips MS STEP_US                the second page and the first by turns
 *   pans MS STEP_US                 other offsets, down row by row
 *   storm MS STEP_US                modes and modes
 *   random MS SEED STEP_US          any values in any registers
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
#include <time.h>
#include <unistd.h>

enum { XRES = 1, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, REGISTERS };
enum { MAX_CARDS = 4, CRTC = 25, GRAPHICS = 9, SEQUENCER = 5 };

struct card {
    volatile uint16_t *dispi;
    volatile uint8_t *vga;     /* port 0x3c0 is the first byte */
    volatile uint32_t *order;
    uint8_t *memory;
    size_t size;
    uint8_t crtc[CRTC], graphics[GRAPHICS], sequencer[SEQUENCER], misc;
};

static struct card cards[MAX_CARDS], *card;
static int card_count = -1;

static void *map_file(const char *folder, const char *name, size_t *size)
{
    char path[PATH_MAX + 16];
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

static bool open_card(const char *folder, struct card *to)
{
    char path[PATH_MAX + 16], words[64] = "";
    snprintf(path, sizeof path, "%s/modalias", folder);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(words, sizeof words, file) ||
        strncmp(words, "pci:v00001234d00001111", 22) != 0) {
        if (file)
            fclose(file);
        return false;
    }
    fclose(file);
    snprintf(path, sizeof path, "%s/enable", folder);
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0 || write(descriptor, "1", 1) != 1)
        say("cannot enable %s", folder);
    close(descriptor);
    size_t registers = 0;
    uint8_t *bar = map_file(folder, "resource2", &registers);
    to->memory = map_file(folder, "resource0", &to->size);
    if (!bar || registers < 0x608 || !to->memory)
        return false;
    to->vga = bar + 0x400;
    to->dispi = (volatile uint16_t *)(bar + 0x500);
    to->order = (volatile uint32_t *)(bar + 0x604);
    return true;
}

static int alphabetical(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void open_cards(void)
{
    static const char *const all = "/sys/bus/pci/devices";
    struct dirent **names;
    int count = scandir(all, &names, NULL, alphabetical);
    card_count = 0;
    for (int i = 0; i < count; i++) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%s/%s", all, names[i]->d_name);
        if (card_count < MAX_CARDS && open_card(folder, &cards[card_count]))
            card_count++;
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    card = cards;
}

/* ---- registers ---- */

static void set(long width, long height, long bits, long across, long x, long y)
{
    volatile uint16_t *r = card->dispi;
    r[ENABLE] = 0;
    r[BPP] = (uint16_t)bits;
    r[XRES] = (uint16_t)width;
    r[YRES] = (uint16_t)height;
    r[BANK] = 0;
    r[ENABLE] = 0xc1; /* on, linear, memory as it is */
    r[VIRT_WIDTH] = (uint16_t)across;
    r[X_OFFSET] = (uint16_t)x;
    r[Y_OFFSET] = (uint16_t)y;
    (void)card->vga[0x1a]; /* lit, as drivers leave it */
    card->vga[0] = 0x20;
}

static void read_bank(int index, uint8_t *to, int count)
{
    for (int i = 0; i < count; i++) {
        card->vga[index] = (uint8_t)i;
        to[i] = card->vga[index + 1];
    }
}

static void write_bank(int index, const uint8_t *from, int count)
{
    for (int i = 0; i < count; i++) {
        card->vga[index] = (uint8_t)i;
        card->vga[index + 1] = from[i];
    }
}

static void save(void)
{
    card->misc = card->vga[0x0c];
    read_bank(0x14, card->crtc, CRTC);
    read_bank(0x0e, card->graphics, GRAPHICS);
    read_bank(0x04, card->sequencer, SEQUENCER);
}

static void restore(void)
{
    card->dispi[ENABLE] = 0;
    card->vga[0x02] = card->misc;
    card->vga[0x14] = 0x11; /* the first eight are protected by a bit of this one */
    card->vga[0x15] = 0;
    write_bank(0x14, card->crtc, CRTC);
    write_bank(0x0e, card->graphics, GRAPHICS);
    write_bank(0x04, card->sequencer, SEQUENCER);
}

/* ---- video memory ---- */

static void fill_memory(uint32_t seed, size_t offset, size_t bytes)
{
    if (offset > card->size || bytes > card->size - offset)
        bytes = offset > card->size ? 0 : card->size - offset;
    uint32_t *words = (uint32_t *)(card->memory + offset);
    for (size_t i = 0; i < bytes / 4; i++)
        words[i] = (uint32_t)(i + seed) * 2654435761u;
}

static void block(const long *n)
{
    size_t stride = n[5] ? (size_t)n[5] : (size_t)card->dispi[VIRT_WIDTH] * 4;
    for (long y = n[1]; y < n[1] + n[3]; y++) {
        size_t start = (size_t)y * stride + (size_t)n[0] * 4;
        if (start + (size_t)n[2] * 4 > card->size)
            return;
        for (long x = 0; x < n[2]; x++)
            ((uint32_t *)(card->memory + start))[x] = (uint32_t)n[4];
    }
}

/* ---- much of it ---- */

static int64_t microseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static uint32_t next_random(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

static void flip_once(unsigned turn)
{
    card->dispi[Y_OFFSET] = turn % 2 ? card->dispi[YRES] : 0;
}

static void pan_once(unsigned turn)
{
    card->dispi[X_OFFSET] = (uint16_t)(turn % 7 * 8);
    card->dispi[Y_OFFSET] = (uint16_t)(turn % 200);
}

static void storm_once(unsigned turn)
{
    static const uint16_t sizes[][3] = {
        {640, 480, 32}, {800, 600, 32}, {1024, 768, 32}, {800, 600, 16}, {320, 200, 32}};
    const uint16_t *to = sizes[turn % 5];
    set(to[0], to[1], to[2], to[0], 0, 0);
}

static void random_once(unsigned turn)
{
    static const uint16_t telling[] = {0, 1, 2, 3, 4, 8, 15, 16, 24, 32, 0x41, 0x43, 0xc1,
                                       480, 640, 1024, 1280, 4095, 16000, 32767, 65535};
    unsigned index = next_random() % REGISTERS, kind = next_random() % 4;
    uint16_t value = kind ? telling[next_random() % (sizeof telling / sizeof *telling)]
                          : (uint16_t)next_random();
    card->dispi[index] = value;
    if (turn % 8 == 0) { /* else most of it happens where nothing is on */
        card->dispi[BPP] = 32;
        card->dispi[ENABLE] = 0xc1;
    }
}

static unsigned many(void (*once)(unsigned), long milliseconds, long step)
{
    int64_t began = microseconds(), due = began, end = began + milliseconds * 1000;
    unsigned turns = 0;
    for (int64_t time = began; time < end; time = microseconds()) {
        if (time < due) {
            usleep((useconds_t)(due - time));
            continue;
        }
        once(turns++);
        due += step;
        if (step && due < time - 10 * step) /* it does not catch up for ever */
            due = time;
    }
    return turns;
}

static bool obey_many(const char *verb, const long *n)
{
    unsigned turns;
    if (strcmp(verb, "flips") == 0) {
        turns = many(flip_once, n[0], n[1]);
    } else if (strcmp(verb, "pans") == 0) {
        turns = many(pan_once, n[0], n[1]);
    } else if (strcmp(verb, "storm") == 0) {
        turns = many(storm_once, n[0], n[1]);
    } else if (strcmp(verb, "random") == 0) {
        for (long i = 0; i < n[1]; i++)
            next_random();
        turns = many(random_once, n[0], n[2]);
    } else {
        return false;
    }
    say("%s %u", verb, turns);
    return true;
}

static bool obey_one(const char *verb, const long *n, int count)
{
    if (strcmp(verb, "card") == 0 && n[0] >= 0 && n[0] < card_count) {
        card = &cards[n[0]];
        say("card %ld of %d", n[0], card_count);
    } else if (strcmp(verb, "reg") == 0 && count >= 1 && n[0] >= 0 && n[0] < 12) {
        if (count > 1)
            card->dispi[n[0]] = (uint16_t)n[1];
        say("reg %ld %u", n[0], card->dispi[n[0]]);
    } else if (strcmp(verb, "port") == 0 && count >= 1 && n[0] >= 0x3c0 && n[0] < 0x3e0) {
        if (count > 1)
            card->vga[n[0] - 0x3c0] = (uint8_t)n[1];
        say("port %ld %d", n[0], count > 1 ? (int)n[1] : card->vga[n[0] - 0x3c0]);
    } else if (strcmp(verb, "order") == 0) {
        *card->order = (uint32_t)n[0];
        say("order %u", *card->order);
    } else if (strcmp(verb, "set") == 0 && count >= 3) {
        set(n[0], n[1], n[2], n[3] ? n[3] : n[0], n[4], n[5]);
        say("set %ux%u", card->dispi[XRES], card->dispi[YRES]);
    } else if (strcmp(verb, "fill") == 0 && count == 3) {
        fill_memory((uint32_t)n[0], (size_t)n[1], (size_t)n[2]);
        say("fill %ld", n[0]);
    } else if (strcmp(verb, "block") == 0 && count >= 5) {
        block(n);
        say("block %ld", n[4]);
    } else if (strcmp(verb, "save") == 0) {
        save();
        say("saved");
    } else if (strcmp(verb, "restore") == 0) {
        restore();
        say("restored");
    } else {
        return false;
    }
    return true;
}

bool command(const char *line)
{
    char verb[16];
    int used = 0, count = 0;
    long numbers[6] = {0};
    if (sscanf(line, "%15s%n", verb, &used) != 1)
        return false;
    for (const char *at = line + used; count < 6; count++) {
        char *end;
        numbers[count] = strtol(at, &end, 0);
        if (end == at)
            break;
        at = end;
    }
    if (card_count < 0)
        open_cards();
    return card_count > 0 && (obey_one(verb, numbers, count) || obey_many(verb, numbers));
}
