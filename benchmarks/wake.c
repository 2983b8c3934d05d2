/* The peer of a waiting Python process: a C program that waits on the same futex. For each
 * publication it prints the nanoseconds from the stamp in the first pixels to being awake. */
#define _GNU_SOURCE
#include "kju/surface.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
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
