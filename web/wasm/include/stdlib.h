/* Memory for one message: see screen.c. */
#ifndef KJU_WASM_STDLIB_H
#define KJU_WASM_STDLIB_H
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *memory);
#endif
