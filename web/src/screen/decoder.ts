/** The pixels of one screen in WebAssembly: `wasm/screen.c`. */

import { PeerError } from "../wire/msgpack";
import type { Picture, Rects } from "../wire/picture_stream";
import { SAMPLE_SIDE, SAMPLE_SIZE, sampleBlock } from "./sample";

interface Exports {
  readonly memory: WebAssembly.Memory;
  data_at(): number;
  data_size(): number;
  rgba_at(): number;
  rects_at(): number;
  block_at(): number;
  mode(width: number, height: number, grey: number): number;
  unpack(length: number, size: number, raw: number): number;
  draw(length: number, size: number, raw: number): number;
  draw_photo(x: number, y: number, width: number, height: number): number;
}

/** The bytes at `block_at`. */
const MAX_BLOCK = 4 << 20;
const TOO_LARGE = -42;
const NO_MEMORY = -33;

/** Each screen has an instance of its own, whose memory is given back with it. */
export class Decoder implements Picture {
  private readonly wasm: Exports;
  private readonly data: number;
  private width = 0;
  private height = 0;
  private image: ImageData | null = null;

  constructor(module: WebAssembly.Module) {
    this.wasm = new WebAssembly.Instance(module).exports as unknown as Exports;
    this.data = this.wasm.data_at();
  }

  /**
   * Draw a sample before the first mode, so that the browser has compiled the functions by then. It
   * compiles one at its first call, which takes longer than to draw a whole screen.
   */
  warmUp(): void {
    this.mode(SAMPLE_SIDE, SAMPLE_SIDE, false);
    this.draw(sampleBlock(), SAMPLE_SIZE, false);
  }

  mode(width: number, height: number, grey: boolean): void {
    const result = this.wasm.mode(width, height, grey ? 1 : 0);
    this.image = null;
    if (result === TOO_LARGE || result === NO_MEMORY)
      throw new PeerError(`a screen of ${width} x ${height} is too large for this page`);
    this.width = width;
    this.height = height;
  }

  draw(data: Uint8Array, size: number, raw: boolean): Rects {
    this.write(data);
    const count = this.wasm.draw(data.length, size, raw ? 1 : 0);
    if (count < 0) throw new PeerError(`a block that is not valid (${count})`);
    return new Uint32Array(this.wasm.memory.buffer, this.wasm.rects_at(), 4 * count);
  }

  drawPhoto(x: number, y: number, width: number, height: number, pixels: Uint8Array): void {
    if (pixels.length !== 4 * width * height || pixels.length > MAX_BLOCK)
      throw new PeerError("a photo of another size");
    new Uint8Array(this.wasm.memory.buffer, this.wasm.block_at(), pixels.length).set(pixels);
    const result = this.wasm.draw_photo(x, y, width, height);
    if (result !== 0) throw new PeerError(`a photo that is not valid (${result})`);
  }

  unpack(data: Uint8Array, size: number, raw: boolean): Uint8Array {
    this.write(data);
    const result = this.wasm.unpack(data.length, size, raw ? 1 : 0);
    if (result !== 0) throw new PeerError(`bytes that cannot be decompressed (${result})`);
    return new Uint8Array(this.wasm.memory.buffer, this.wasm.block_at(), size).slice();
  }

  /** The picture, in WebAssembly's own memory: no copy. */
  pixels(): ImageData {
    // The buffer is another one after the memory has grown.
    if (this.image === null || this.image.data.buffer !== this.wasm.memory.buffer) {
      const at = this.wasm.rgba_at();
      const bytes = 4 * this.width * this.height;
      const view = new Uint8ClampedArray(this.wasm.memory.buffer as ArrayBuffer, at, bytes);
      this.image = new ImageData(view, this.width, this.height);
    }
    return this.image;
  }

  private write(data: Uint8Array): void {
    if (data.length > this.wasm.data_size()) throw new PeerError("a block that is too long");
    new Uint8Array(this.wasm.memory.buffer, this.data, data.length).set(data);
  }
}
