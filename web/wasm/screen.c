/* One screen in a page: decompress a block, check it, draw it, and convert what it drew for a
 * canvas. Every number from JavaScript and every byte of a block is hostile.
 *
 * An instance of this module has one screen. Its memory: the static part, the two pictures of the
 * mode, and nothing that grows with the number of messages. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pixels.h"
#define ZSTD_STATIC_LINKING_ONLY
#include "zstd.h"

#define EXPORT(name) __attribute__((export_name(name)))

enum {
    MAX_DATA = 64 * 1024,        /* compressed bytes of a message: more than the longest has */
    MAX_BLOCK = 4 * 1024 * 1024, /* as kju.wire.codecs.MAX_BLOCK */
    MAX_SIDE = 16384,
    MAX_PIXELS = 1 << 25, /* 8192 x 4096: 256 MiB for both pictures */
    SCRATCH = 1 << 20,
    WORKSPACE = 192 * 1024, /* of zstd's decoder, see ZSTD_estimateDCtxSize */
    MAGIC = 4
};
/* Results beside those of kju/surface.h and pixels.h. */
enum { E_CODEC = -40, E_SIZE = -41, E_LARGE = -42 };

static uint8_t data[MAGIC + MAX_DATA];
static uint8_t block[MAX_BLOCK] __attribute__((aligned(16)));
static uint8_t scratch[SCRATCH] __attribute__((aligned(16)));
static uint8_t workspace[WORKSPACE] __attribute__((aligned(16)));
static size_t scratch_used;
static struct kju_picture picture;
static uint8_t *rgba;
static struct kju_rects drawn;
static uint8_t *heap;
static ZSTD_DCtx *decoder;

extern uint8_t __heap_base;

/* ---- The C library's part. Memory for one message, given back together. ---- */

void *malloc(size_t size) {
    size_t whole = (size + 16 + 15) & ~(size_t)15;
    if (size > SCRATCH || whole > SCRATCH - scratch_used)
        return NULL;
    uint8_t *at = scratch + scratch_used;
    scratch_used += whole;
    memcpy(at, &size, sizeof size);
    return at + 16;
}

void *calloc(size_t count, size_t size) {
    void *memory = count && size > SCRATCH / count ? NULL : malloc(count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

void *realloc(void *old, size_t size) {
    void *memory = malloc(size);
    if (memory && old) {
        size_t before;
        memcpy(&before, (uint8_t *)old - 16, sizeof before);
        memcpy(memory, old, before < size ? before : size);
    }
    return memory;
}

void free(void *memory) { (void)memory; }

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *one = a, *other = b;
    for (size_t i = 0; i < size; i++)
        if (one[i] != other[i])
            return one[i] < other[i] ? -1 : 1;
    return 0;
}

/* ---- The screen ---- */

/* Where JavaScript writes the compressed bytes of a message, at most data_size() of them. */
EXPORT("data_at") uint8_t *data_at(void) { return data + MAGIC; }
EXPORT("data_size") uint32_t data_size(void) { return MAX_DATA; }
/* The picture for a canvas: R, G, B, 255. It moves when the mode changes. */
EXPORT("rgba_at") uint8_t *rgba_at(void) { return rgba; }
/* The rectangles that the last draw() has changed. */
EXPORT("rects_at") struct kju_rect *rects_at(void) { return drawn.at; }
/* The decompressed bytes of the last unpack(). A photo is written here. */
EXPORT("block_at") uint8_t *block_at(void) { return block; }

/* Begin a mode with a black picture. */
EXPORT("mode") int32_t mode(uint32_t width, uint32_t height, uint32_t grey) {
    picture.bytes = NULL;
    if (!width || !height || width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS)
        return E_LARGE;
    uint32_t pixel = grey ? 1 : 4;
    /* Three bytes more: the last pixel of 4 is loaded whole. */
    size_t bytes = ((size_t)width * height * pixel + 3 + 15) & ~(size_t)15, shown = (size_t)width * height * 4;
    if (!heap)
        heap = &__heap_base + (-(uintptr_t)&__heap_base & 15);
    size_t end = (size_t)(uintptr_t)heap + bytes + shown, have = __builtin_wasm_memory_size(0) << 16;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (size_t)-1)
        return KJU_E_MEMORY;
    picture = (struct kju_picture){heap, (size_t)width * pixel, width, height, pixel};
    rgba = heap + bytes;
    memset(heap, 0, bytes);
    uint32_t *at = (uint32_t *)rgba;
    for (size_t i = 0; i < (size_t)width * height; i++)
        at[i] = 0xff000000;
    return KJU_OK;
}

/* Decompress what JavaScript has written: bytes of a zstd frame without its magic number, or, with
 * raw, the bytes themselves. Exactly `size` bytes must come out. */
EXPORT("unpack") int32_t unpack(uint32_t length, uint32_t size, uint32_t raw) {
    if (length > MAX_DATA || size > MAX_BLOCK)
        return E_SIZE;
    if (raw) {
        if (length != size)
            return E_SIZE;
        memcpy(block, data + MAGIC, length);
        return KJU_OK;
    }
    if (!decoder)
        decoder = ZSTD_initStaticDCtx(workspace, WORKSPACE);
    if (!decoder)
        return KJU_E_MEMORY;
    memcpy(data, "\x28\xb5\x2f\xfd", MAGIC);
    size_t got = ZSTD_decompressDCtx(decoder, block, size, data, MAGIC + length);
    return ZSTD_isError(got) ? E_CODEC : got == size ? KJU_OK : E_SIZE;
}

static void convert(struct kju_rect r) {
    for (uint32_t y = r.y; y < r.y + r.height; y++) {
        const uint8_t *from = picture.bytes + y * picture.stride + (size_t)r.x * picture.pixel;
        uint32_t *to = (uint32_t *)rgba + (size_t)y * picture.width + r.x;
        if (picture.pixel == 1)
            for (uint32_t x = 0; x < r.width; x++)
                to[x] = 0xff000000 | from[x] * 0x010101u;
        else
            for (uint32_t x = 0; x < r.width; x++) {
                uint32_t c = ((const uint32_t *)from)[x];
                to[x] = 0xff000000 | (c & 0xff00) | (c & 0xff) << 16 | (c >> 16 & 0xff);
            }
    }
}

/* Draw a block: return the number of rectangles, or an error, after which nothing was drawn. */
EXPORT("draw") int32_t draw(uint32_t length, uint32_t size, uint32_t raw) {
    scratch_used = 0;
    drawn = (struct kju_rects){0};
    if (!picture.bytes)
        return KJU_E_MODE;
    int32_t result = unpack(length, size, raw);
    if (result != KJU_OK)
        return result;
    size_t at = 0;
    result = kju_check_block(block, size, &picture, &drawn, &at);
    if (result == KJU_OK && drawn.failed)
        result = KJU_E_MEMORY;
    if (result == KJU_OK)
        result = kju_unpack(block, size, &picture);
    if (result != KJU_OK) {
        drawn = (struct kju_rects){0};
        return result;
    }
    for (size_t i = 0; i < drawn.size; i++)
        convert(drawn.at[i]);
    return (int32_t)drawn.size;
}

/* Draw a photo: B, G, R, X of each pixel, which JavaScript has written at block_at(). */
EXPORT("draw_photo") int32_t draw_photo(uint32_t x, uint32_t y, uint32_t width, uint32_t height) {
    if (!picture.bytes)
        return KJU_E_MODE;
    if (!width || !height || x >= picture.width || y >= picture.height || width > picture.width - x ||
        height > picture.height - y || width > MAX_BLOCK / 4 / height)
        return E_SIZE;
    const uint32_t *from = (const uint32_t *)block;
    for (uint32_t row = 0; row < height; row++) {
        uint8_t *to = picture.bytes + (size_t)(y + row) * picture.stride + (size_t)x * picture.pixel;
        for (uint32_t column = 0; column < width; column++, from++)
            if (picture.pixel == 1)
                to[column] = *from >> 8 & 0xff;
            else
                ((uint32_t *)to)[column] = *from & 0xffffff;
    }
    convert((struct kju_rect){x, y, width, height});
    return KJU_OK;
}
