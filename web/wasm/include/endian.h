/* WebAssembly is little-endian. */
#ifndef KJU_WASM_ENDIAN_H
#define KJU_WASM_ENDIAN_H
#define le32toh(x) (x)
#define htole32(x) (x)
#endif
