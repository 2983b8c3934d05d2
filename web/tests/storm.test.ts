/**
 * A server that sends 10^6 random messages to the real decoder: `PeerError` or a message, never
 * another exception; nothing is drawn by a message that is not valid; and memory stays as it was.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { Decoder } from "../src/screen/decoder";
import { splitFrame } from "../src/wire/frames";
import { decode, encode, PeerError, type Value } from "../src/wire/msgpack";
import { ScreenSession } from "../src/wire/session";
import { decodeServerMessage } from "../src/wire/socket_messages";
import { wasm } from "./wasm";

const MESSAGES = 1_000_000;
const WIDTH = 64;
const HEIGHT = 48;

/** Return numbers below `most`: Marsaglia's xorshift, so that a failure can be repeated. */
function randomNumbers(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % most;
  };
}

/** Bytes in use after a collection of what is not. */
function usedMemory(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A page's session; it begins again when the server has ended it. */
class Viewer {
  readonly decoder = new Decoder(wasm);
  drawn = 0;
  private session!: ScreenSession;
  private isOver = true;
  private picture = new Uint8Array();

  receive(data: Uint8Array): void {
    if (this.isOver) this.begin();
    try {
      this.session.receive(data);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
    }
  }

  /** Whether the pixels are those after the last drawing that was reported. */
  get isAsReported(): boolean {
    const { data } = this.decoder.pixels();
    return Buffer.from(data.buffer, data.byteOffset, data.length).equals(this.picture);
  }

  private begin(): void {
    this.isOver = false;
    const changed = () => {
      this.drawn++;
      this.picture = Uint8Array.from(this.decoder.pixels().data);
    };
    const nothing = () => {};
    const events = {
      welcomed: nothing,
      modeChanged: changed,
      drawn: changed,
      cursorChanged: nothing,
      stateChanged: nothing,
      completed: nothing,
      answered: nothing,
      reacted: nothing,
      ended: () => {
        this.isOver = true;
      },
    };
    const shell = { send: nothing, now: () => 1, photos: null, failed: nothing };
    this.session = new ScreenSession(1, this.decoder, events, shell);
    this.session.begin("control", "");
    this.receive(encode([17, 1, 5, "zstd", "control", 32, "", new Uint8Array(), false, true]));
    this.receive(encode([19, 1, 1, WIDTH, HEIGHT]));
  }
}

/** The bytes of a segment with one fill of the picture, as zstd stores them: not compressed. */
const BLOCK = Uint8Array.of(0, 0, 0, WIDTH - 1, HEIGHT - 1, 10, 20, 30);
const STORED = Uint8Array.of(0x20, BLOCK.length, (BLOCK.length << 3) | 1, 0, 0, ...BLOCK);
const segment = (serial: number, data = STORED, size = BLOCK.length): Value[] => [
  20,
  serial,
  0,
  1,
  serial,
  serial,
  size,
  data,
];

describe("a storm of messages", () => {
  it("draws nothing, throws nothing else, and takes no memory", { timeout: 600_000 }, async () => {
    // Most messages are errors, and a trace of the stack is most of an error's time.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const random = randomNumbers(0x6b6a75);
    const viewer = new Viewer();
    viewer.receive(encode(segment(2)));
    expect(viewer.isAsReported).toBe(true);
    expect([...viewer.decoder.pixels().data.subarray(0, 4)]).toEqual([30, 20, 10, 255]);
    const wasm = viewer.decoder.pixels().data.buffer.byteLength;
    const valid = encode(segment(2 ** 50));
    // Of a mode only those that are cut off: another test has the absurd ones.
    const numbers = [16, 17, 18, 20, 21, 22, 23, 24, 25, 27, 29, 40, 80, 81, 82, 83, 84, 85];
    const bytes = new Uint8Array(96);
    const fill = (from: number, to: number) => {
      for (let at = from; at < to; at++) bytes[at] = random(256);
      return bytes.subarray(0, to);
    };
    const kinds: readonly (() => Uint8Array)[] = [
      () => fill(0, random(96)),
      () => {
        bytes[0] = 0x90 | random(16);
        bytes[1] = numbers[random(numbers.length)] ?? 0;
        return fill(2, 2 + random(94));
      },
      () => valid.subarray(0, random(valid.length)),
      () => {
        // Random bytes as zstd's: their serial number is too low for the valid ones after them.
        bytes.set(STORED.subarray(0, 2));
        return encode(segment(3 + random(2 ** 20), fill(2, 8 + random(80)), random(2 ** 23)));
      },
    ];
    let before = 0;
    for (let i = 0; i < MESSAGES; i++) {
      if (i === MESSAGES / 10) before = usedMemory();
      const data = (kinds[i % kinds.length] as () => Uint8Array)();
      viewer.receive(data);
      try {
        splitFrame(data);
        decodeServerMessage(data);
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
      }
      if (i % 4096 !== 0) continue;
      if (!viewer.isAsReported) expect.fail(`message ${i} has drawn`);
      // Let the test's worker report that it lives.
      await new Promise((resolve) => setImmediate(resolve));
    }
    Error.stackTraceLimit = stackTraceLimit;
    expect(viewer.isAsReported).toBe(true);
    expect(viewer.decoder.pixels().data.buffer.byteLength).toBe(wasm);
    expect(usedMemory() - before).toBeLessThan(4 << 20);
  });

  it("a bomb is refused before it is unpacked", () => {
    const viewer = new Viewer();
    viewer.receive(encode(segment(2)));
    // 128 KiB of zeros in an RLE block of zstd, again and again: 4 MiB and more from 130 bytes.
    const bombs = [33, 1000, 10_000].map((blocks) => {
      const made = [0xa0, 0, 0, 0, 4]; // one segment, its size in four bytes
      for (let i = 0; i < blocks; i++) made.push((i + 1 === blocks ? 1 : 0) | 2, 0, 0x10, 0);
      return Uint8Array.from(made);
    });
    const wasm = viewer.decoder.pixels().data.buffer.byteLength;
    for (const bomb of bombs)
      for (const size of [BLOCK.length, 4 << 20, 1 << 30]) {
        const begin = performance.now();
        expect(() => viewer.decoder.draw(bomb, size, false)).toThrow(PeerError);
        expect(performance.now() - begin).toBeLessThan(1000);
      }
    expect(viewer.isAsReported).toBe(true);
    expect(viewer.decoder.pixels().data.buffer.byteLength).toBe(wasm);
  });

  it("a zstd frame that was cut off anywhere draws nothing", () => {
    const viewer = new Viewer();
    viewer.receive(encode(segment(2)));
    for (let length = 0; length < STORED.length; length++)
      expect(() => viewer.decoder.draw(STORED.subarray(0, length), BLOCK.length, false)).toThrow(
        PeerError,
      );
    expect(viewer.isAsReported).toBe(true);
  });

  it("blocks outside the picture draw nothing", () => {
    const viewer = new Viewer();
    viewer.receive(encode(segment(2)));
    const outside: readonly (readonly number[])[] = [
      [0, 1, 0, WIDTH - 1, HEIGHT - 1, 1, 2, 3],
      [0, 0, HEIGHT, 0, 0, 1, 2, 3],
      [0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 2, 3],
      [1, 0, 0, 7, 7, WIDTH - 7, 0],
      [3, 0, 0, WIDTH - 1, 0, 9],
    ];
    for (const block of outside) {
      // A good item before it is not drawn either.
      const whole = Uint8Array.from([0, 0, 0, 0, 0, 9, 9, 9, ...block]);
      expect(() => viewer.decoder.draw(whole, whole.length, true)).toThrow(PeerError);
    }
    expect(viewer.isAsReported).toBe(true);
  });

  it("absurd modes take no memory", () => {
    const viewer = new Viewer();
    viewer.receive(encode(segment(2)));
    const wasm = viewer.decoder.pixels().data.buffer.byteLength;
    for (const [width, height] of [
      [65_535, 65_535],
      [16_384, 16_384],
      [16_385, 1],
      [65_536, 65_536],
      [0, 10],
      [-1, 10],
      [1.5, 10],
    ] as const)
      viewer.receive(encode([19, 3, 2, width, height]));
    // The mode before has ended: a block that arrives all the same is not drawn.
    expect(() => viewer.decoder.draw(BLOCK, BLOCK.length, true)).toThrow(PeerError);
    expect(viewer.decoder.pixels().data.buffer.byteLength).toBe(wasm);
  });

  it("nested values cost no more than their own length", () => {
    for (const opening of [0x91, 0x81, 0xdc, 0xdd, 0xde, 0xdf]) {
      const nested = new Uint8Array(1 << 20).fill(opening);
      expect(() => decode(nested)).toThrow(PeerError);
    }
    let value: Value = 1;
    for (let depth = 0; depth < 100; depth++) value = [value];
    expect(() => decode(encode(value))).toThrow("nested too deep");
  });
});
