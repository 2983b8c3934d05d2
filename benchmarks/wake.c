/* The peer of a waiting Python process: a C program that waits on the same futex. For each
 * publication it prints the nanoseconds from the stamp in the first pixels to being awake. */
#define _GNU_SOURCE
#include "kju/surface.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Nanoseconds of one FUTEX_WAKE on a word nobody waits for. */
static int time_futex(void) {
    static _Atomic uint32_t word;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < 100000; i++)
        kju_futex(&word, FUTEX_WAKE, INT_MAX, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%lld\n", ((long long)(to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec -
                     from.tv_nsec) / 100000);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return time_futex();
    struct stat status;
    struct kju_layout layout;
    int file = open(argv[1], O_RDONLY), count = argc > 2 ? atoi(argv[2]) : 0;
    if (file < 0 || fstat(file, &status))
        return 1;
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED || kju_check(memory, (uint64_t)status.st_size, &layout))
        return 2;
    uint64_t seen = kju_version(memory);
    puts("ready");
    fflush(stdout);
    while (count) {
        uint32_t pulse = kju_pulse(memory);
        uint64_t version = kju_version(memory), stamp;
        if (version == seen) {
            kju_wait(memory, pulse, 500);
            continue;
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        memcpy(&stamp, kju_pixels(memory, &layout), 8);
        seen = version;
        printf("%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec - (long long)stamp);
        count--;
    }
    return 0;
}
