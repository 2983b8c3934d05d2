/* The header needs no other file, and compiles in strict ISO C11 without a warning. */
#include "kju/surface.h"

int main(void) {
    struct kju_layout layout;
    return kju_plan(&layout, 4096, 32, 64, 64) || sizeof(struct kju_header) > KJU_HEADER_SIZE;
}
