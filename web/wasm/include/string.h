/* The few functions of C's library that the decoder calls; clang makes wasm instructions of them. */
#ifndef KJU_WASM_STRING_H
#define KJU_WASM_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
#endif
