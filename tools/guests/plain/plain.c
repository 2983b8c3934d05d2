/*
 * The plain guest: a multiboot kernel without an operating system, for measuring and for tests.
 *
 * It writes into the linear framebuffer of a standard VGA inside the interrupt handler of the PS/2
 * keyboard or mouse, so that nothing lies between an input and its pixels except QEMU. What it is
 * told and what it says is in ../README.md.
 */
#include <stdbool.h>
#include <stdint.h>

enum { WIDTH = 1280, HEIGHT = 800, SIDE = 64 };
enum { COM1 = 0x3f8, DEBUG_PORT = 0xe9, PS2_DATA = 0x60, PS2_STATUS = 0x64 };
enum { FROM_MOUSE = 0x20, EXTENDED = 0xe0, BREAK = 0x80, LONGEST_LINE = 80 };
enum { TIMER = 0, KEYBOARD = 1, CASCADE = 2, SERIAL = 4, MOUSE = 12, FIRST_VECTOR = 0x20 };

static volatile uint32_t *pixels;
static volatile unsigned frame, answers;
static volatile bool box, at_press = true, at_release;
static char line[LONGEST_LINE];
static volatile unsigned length;
static volatile bool line_ready;

static void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static void out32(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static uint8_t in8(uint16_t port) { uint8_t v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static uint32_t in32(uint16_t port) { uint32_t v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static uint64_t ticks(void) { uint64_t v; __asm__ volatile("rdtsc" : "=A"(v)); return v; }

/* ---- what it says */

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(in8(COM1 + 5) & 0x20))
            ;
        out8(COM1, (uint8_t)*text);
    }
}

static void say_number(unsigned number)
{
    char digits[12], *at = digits + sizeof digits - 1;
    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    say(at);
}

/* ---- what it draws */

static void fill(int x, int y, int side, uint32_t colour)
{
    for (int row = y; row < y + side; row++)
        for (int column = x; column < x + side; column++)
            pixels[row * WIDTH + column] = colour;
}

/* The same four pixels as paint's: the time of the store, and the counter, stored last. */
static void answer(void)
{
    uint64_t now = ticks();
    unsigned count = ++answers;
    volatile uint32_t *at = pixels + (SIDE - 1) * WIDTH + SIDE;
    at[0] = (uint32_t)(now & 0xffffff);
    at[1] = (uint32_t)(now >> 24 & 0xffffff);
    at[2] = (uint32_t)(now >> 48 & 0xffff) | (count & 0xff) << 16;
    at[3] = count & 0xffffff;
}

static void draw_frame(void)
{
    enum { BOX = 32, Y = HEIGHT * 3 / 4 };
    static int x;
    fill(x, Y, BOX, 0);
    frame = frame + 1;
    x = 8 * (int)frame % (WIDTH - BOX + 1);
    fill(x, Y, BOX, frame | 1 << 22);
}

/* ---- what it is told */

static bool begins(const char *word)
{
    const char *at = line;
    while (*word)
        if (*at++ != *word++)
            return false;
    return true;
}

/* Each reading: a mark, then eight bytes. The mark's arrival is what is timed outside. */
static void tell_clock(unsigned count)
{
    for (; count; count--) {
        uint64_t now = ticks(), again = now;
        out8(DEBUG_PORT, 'T');
        for (int i = 0; i < 8; i++)
            out8(DEBUG_PORT, (uint8_t)(now >> 8 * i));
        while (again - now < 4000000) /* about two milliseconds */
            again = ticks();
    }
}

static unsigned number_in_line(void)
{
    unsigned number = 0;
    for (const char *at = line; *at; at++)
        if (*at >= '0' && *at <= '9')
            number = number * 10 + (unsigned)(*at - '0');
    return number;
}

static void obey(void)
{
    if (begins("box") || begins("still")) {
        box = begins("box");
    } else if (begins("answer")) {
        /* answer press, answer release, answer both */
        at_press = line[7] != 'r';
        at_release = line[7] != 'p';
    } else if (begins("clock")) {
        tell_clock(number_in_line());
    }
    for (char *at = line; *at; at++)
        if (*at == ' ')
            *at = 0;
    say("kju: ");
    say(line);
    say(" frame ");
    say_number(frame);
    say("\n");
}

static void take_serial(void)
{
    while (in8(COM1 + 5) & 1) {
        char got = (char)in8(COM1);
        if (line_ready)
            continue;
        if (got != '\n' && length < LONGEST_LINE - 1) {
            line[length++] = got;
        } else {
            line[length] = 0;
            length = 0;
            line_ready = true;
        }
    }
}

/* ---- interrupts */

static void take_key(uint8_t code)
{
    if (code == EXTENDED)
        return;
    if (code & BREAK ? at_release : at_press)
        answer();
}

/* Four bytes: buttons, x, y, wheel. */
static void take_mouse(uint8_t byte)
{
    static uint8_t report[4], buttons;
    static int at;
    if (at == 0 && !(byte & 8))
        return;
    report[at++] = byte;
    if (at < 4)
        return;
    at = 0;
    uint8_t now = report[0] & 7, down = now & (uint8_t)~buttons, up = buttons & (uint8_t)~now;
    buttons = now;
    if (((down || report[1] || report[2] || report[3]) && at_press) || (up && at_release))
        answer();
}

static void take_ps2(void)
{
    uint8_t status;
    while ((status = in8(PS2_STATUS)) & 1) {
        uint8_t byte = in8(PS2_DATA);
        if (status & FROM_MOUSE)
            take_mouse(byte);
        else
            take_key(byte);
    }
}

void interrupted(unsigned number)
{
    if (number == KEYBOARD || number == MOUSE)
        take_ps2();
    else if (number == SERIAL)
        take_serial();
    else if (number == TIMER && box)
        draw_frame();
    if (number >= 8)
        out8(0xa0, 0x20);
    out8(0x20, 0x20);
}

/* Each saves the registers and calls `interrupted` with its number. */
#define ENTRY(n)                                                                                   \
    __asm__(".globl entry" #n "\nentry" #n ": pusha\n cld\n push $" #n                             \
            "\n call interrupted\n add $4, %esp\n popa\n iret\n");                                 \
    void entry##n(void)
ENTRY(0);
ENTRY(1);
ENTRY(4);
ENTRY(12);

static struct {
    uint16_t low, segment, flags, high;
} __attribute__((packed)) gates[256];

static void set_gate(int number, void (*entry)(void))
{
    uint32_t address = (uint32_t)entry;
    uint16_t segment;
    __asm__("mov %%cs, %0" : "=r"(segment));
    gates[FIRST_VECTOR + number].low = (uint16_t)address;
    gates[FIRST_VECTOR + number].segment = segment;
    gates[FIRST_VECTOR + number].flags = 0x8e00;
    gates[FIRST_VECTOR + number].high = (uint16_t)(address >> 16);
}

static void start_interrupts(void)
{
    static const uint8_t words[][2] = {
        {0x20, 0x11}, {0xa0, 0x11}, {0x21, FIRST_VECTOR}, {0xa1, FIRST_VECTOR + 8},
        {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1},
        {0x21, (uint8_t)~(1 << TIMER | 1 << KEYBOARD | 1 << CASCADE | 1 << SERIAL)},
        {0xa1, (uint8_t)~(1 << (MOUSE - 8))},
    };
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof gates - 1, (uint32_t)gates};
    set_gate(TIMER, entry0);
    set_gate(KEYBOARD, entry1);
    set_gate(SERIAL, entry4);
    set_gate(MOUSE, entry12);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        out8(words[i][0], words[i][1]);
    __asm__ volatile("lidt %0" ::"m"(table));
}

/* ---- devices */

static void ps2_wait(void)
{
    while (in8(PS2_STATUS) & 2)
        ;
}

static void ps2_write(uint16_t port, uint8_t value)
{
    ps2_wait();
    out8(port, value);
}

static void tell_mouse(uint8_t value)
{
    ps2_write(PS2_STATUS, 0xd4);
    ps2_write(PS2_DATA, value);
    for (int i = 0; i < 2; i++) { /* an answer of one or two bytes */
        for (unsigned tries = 0; tries < 2000 && !(in8(PS2_STATUS) & 1); tries++)
            ;
        if (in8(PS2_STATUS) & 1)
            in8(PS2_DATA);
    }
}

static void start_ps2(void)
{
    /* Sample rates 200, 100, 80: from then on the mouse reports its wheel. */
    static const uint8_t mouse[] = {0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, 0xf4};
    ps2_write(PS2_STATUS, 0xae);
    ps2_write(PS2_STATUS, 0xa8);
    for (unsigned i = 0; i < sizeof mouse; i++)
        tell_mouse(mouse[i]);
    ps2_write(PS2_STATUS, 0x60);
    ps2_write(PS2_DATA, 0x47); /* both interrupts, scan code set 1 */
    while (in8(PS2_STATUS) & 1)
        in8(PS2_DATA);
}

static uint32_t pci_read(unsigned slot, unsigned at)
{
    out32(0xcf8, 0x80000000u | slot << 11 | at);
    return in32(0xcfc);
}

static void set_register(uint16_t number, uint16_t value)
{
    out16(0x1ce, number);
    out16(0x1cf, value);
}

static bool start_video(void)
{
    for (unsigned slot = 0; slot < 32; slot++)
        if (pci_read(slot, 0) == 0x11111234)
            pixels = (volatile uint32_t *)(pci_read(slot, 0x10) & ~15u);
    set_register(4, 0);
    set_register(1, WIDTH);
    set_register(2, HEIGHT);
    set_register(3, 32);
    set_register(4, 0x41);
    return pixels;
}

static void start_timer(void)
{
    enum { DIVISOR = 1193182 / 60 };
    out8(0x43, 0x34);
    out8(0x40, DIVISOR & 0xff);
    out8(0x40, DIVISOR >> 8);
}

void main(void)
{
    out8(COM1 + 1, 1);
    out8(COM1 + 2, 7);
    out8(COM1 + 4, 0x0b);
    start_interrupts();
    start_ps2();
    start_timer();
    if (!start_video())
        say("kju: there is no standard VGA\n");
    fill(SIDE, 0, SIDE - 1, 0x400000);
    say("kju: mode 1280x800\nkju: ready\n");
    __asm__ volatile("sti");
    for (;;) {
        /* `sti` takes effect behind the next instruction: nothing comes between it and `hlt`. */
        __asm__ volatile("cli");
        if (line_ready) {
            __asm__ volatile("sti");
            obey();
            line_ready = false;
        } else {
            __asm__ volatile("sti\n hlt");
        }
    }
}

/* Multiboot 1: the header is found in the first 8 KiB; the loader leaves flat 32-bit segments. */
__asm__(".section .multiboot, \"a\"\n.align 4\n.long 0x1badb002, 0, -0x1badb002\n"
        ".text\n.globl start\nstart: mov $stack_end, %esp\n cli\n call main\n"
        ".bss\n.align 16\n.skip 16384\nstack_end:\n.text\n");
