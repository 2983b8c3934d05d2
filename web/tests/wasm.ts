/** The decoder's WebAssembly module, as the package has it, for tests in Node. */
import { readFileSync } from "node:fs";

const file = new URL("../../src/kju/web/static/screen.wasm", import.meta.url);
export const wasm = new WebAssembly.Module(readFileSync(file));

// Node has no ImageData.
globalThis.ImageData ??= class {
  constructor(
    readonly data: Uint8ClampedArray,
    readonly width: number,
    readonly height: number,
  ) {}
} as unknown as typeof ImageData;
