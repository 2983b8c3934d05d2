/** The WebAssembly decoder against the oracle, on valid, altered and random blocks. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { Decoder } from "../src/screen/decoder";
import { PeerError } from "../src/wire/msgpack";
import { OraclePicture } from "./oracle";
import { wasm } from "./wasm";

it("draws its sample, and begins the first mode with a black picture", () => {
  const decoder = new Decoder(wasm);
  decoder.warmUp();
  expect(
    decoder
      .pixels()
      .data.subarray(0, 4 * 32 * 16)
      .filter((v) => v % 255 > 0).length,
  ).toBeGreaterThan(900);
  decoder.mode(32, 32, false);
  expect(new Set(new Uint32Array(decoder.pixels().data.slice().buffer))).toEqual(
    new Set([0xff000000]),
  );
});

const WIDTH = 40;
const HEIGHT = 24;
const varint = (value: number) => (value < 128 ? [value] : [(value & 127) | 128, value >> 7]);

const rect = fc
  .tuple(
    fc.integer({ min: 0, max: WIDTH - 1 }),
    fc.integer({ min: 0, max: HEIGHT - 1 }),
    fc.integer({ min: 1, max: WIDTH }),
    fc.integer({ min: 1, max: HEIGHT }),
  )
  .map(([x, y, w, h]) => ({ x, y, w: Math.min(w, WIDTH - x), h: Math.min(h, HEIGHT - y) }));
const byte = fc.integer({ min: 0, max: 255 });
const bytes = (length: number) => fc.array(byte, { minLength: length, maxLength: length });

function item(channels: number): fc.Arbitrary<number[]> {
  const head = (kind: number, r: { x: number; y: number; w: number; h: number }) => [
    kind,
    ...varint(r.x),
    ...varint(r.y),
    ...varint(r.w - 1),
    ...varint(r.h - 1),
  ];
  return fc.tuple(rect, fc.integer({ min: 0, max: 4 })).chain(([r, kind]) => {
    if (kind === 0) return bytes(channels).map((colour) => [...head(0, r), ...colour]);
    if (kind === 1)
      return fc
        .tuple(fc.integer({ min: 0, max: WIDTH - r.w }), fc.integer({ min: 0, max: HEIGHT - r.h }))
        .map(([x, y]) => [...head(1, r), ...varint(x), ...varint(y)]);
    if (kind === 2)
      return fc.integer({ min: 1, max: 40 }).chain((count) => {
        const bits = count <= 2 ? 1 : count <= 4 ? 2 : count <= 16 ? 4 : 8;
        const size = Math.ceil((r.w * bits) / 8) * r.h;
        return fc
          .tuple(bytes(count * channels), bytes(size))
          .map(([colours, data]) => [...head(2, r), count - 1, ...colours, ...data]);
      });
    if (kind === 3)
      return fc
        .tuple(fc.integer({ min: 0, max: 2 }), bytes(r.w * r.h * channels))
        .map(([how, data]) => [...head(3, r), how, ...data]);
    return fc
      .integer({ min: 1, max: 9 })
      .chain((count) =>
        fc
          .tuple(bytes(count * channels), bytes(r.w * r.h))
          .map(([colours, data]) => [...head(4, r), count, ...colours, ...data]),
      );
  });
}

function shown(decoder: Decoder, picture: OraclePicture): void {
  const { data } = decoder.pixels();
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const at = i * picture.channels;
    const [blue, green, red] =
      picture.channels === 1
        ? [picture.bytes[at], picture.bytes[at], picture.bytes[at]]
        : [picture.bytes[at], picture.bytes[at + 1], picture.bytes[at + 2]];
    const found = [data[4 * i], data[4 * i + 1], data[4 * i + 2], data[4 * i + 3]];
    if (found[0] !== red || found[1] !== green || found[2] !== blue || found[3] !== 255)
      expect(found, `pixel ${i}`).toEqual([red, green, blue, 255]);
  }
}

/** Draw a block in both: either both refuse it, or both show the same. */
function drawSame(decoder: Decoder, picture: OraclePicture, data: Uint8Array): void {
  let problem = false;
  try {
    picture.draw(data);
  } catch {
    problem = true;
  }
  if (problem) expect(() => decoder.draw(data, data.length, true)).toThrow(PeerError);
  else decoder.draw(data, data.length, true);
  shown(decoder, picture);
}

it.each([1, 3] as const)(
  "blocks with %i channels are drawn as the specification says",
  (channels) => {
    const decoder = new Decoder(wasm);
    decoder.mode(WIDTH, HEIGHT, channels === 1);
    const picture = new OraclePicture(WIDTH, HEIGHT, channels);
    const block = fc
      .array(item(channels), { maxLength: 4 })
      .map((items) => Uint8Array.from(items.flat()));
    fc.assert(
      fc.property(block, (data) => drawSame(decoder, picture, data)),
      { numRuns: 400 },
    );
  },
);

it("altered blocks draw the same as the oracle, or nothing", () => {
  const decoder = new Decoder(wasm);
  decoder.mode(WIDTH, HEIGHT, false);
  const picture = new OraclePicture(WIDTH, HEIGHT, 3);
  const block = fc
    .tuple(fc.array(item(3), { minLength: 1, maxLength: 3 }), fc.nat(), byte, fc.nat())
    .map(([items, at, value, cut]) => {
      const flat = Uint8Array.from(items.flat());
      flat[at % flat.length] = value;
      return cut % 3 === 0 ? flat.subarray(0, cut % flat.length) : flat;
    });
  fc.assert(
    fc.property(block, (data) => drawSame(decoder, picture, data)),
    { numRuns: 1000 },
  );
});

it("random compressed bytes draw nothing", () => {
  const decoder = new Decoder(wasm);
  decoder.mode(WIDTH, HEIGHT, false);
  const before = decoder.pixels().data.slice();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5_000_000), (data, size) => {
      try {
        decoder.draw(data, size, false);
      } catch (error) {
        expect(error).toBeInstanceOf(PeerError);
      }
    }),
    { numRuns: 5_000 },
  );
  expect(decoder.pixels().data).toEqual(before);
});

it("absurd modes are refused, and a good one follows", () => {
  const decoder = new Decoder(wasm);
  expect(() => decoder.mode(65_535, 65_535, false)).toThrow(PeerError);
  expect(() => decoder.mode(16_384, 16_384, false)).toThrow(PeerError);
  expect(() => decoder.draw(new Uint8Array(3), 3, true)).toThrow(PeerError);
  decoder.mode(8, 8, false);
  expect(decoder.draw(Uint8Array.of(0, 0, 0, 7, 7, 1, 2, 3), 8, true)).toEqual(
    Uint32Array.of(0, 0, 8, 8),
  );
});

it("a storm of modes takes the memory of the largest", () => {
  const decoder = new Decoder(wasm);
  decoder.mode(1920, 1080, false);
  const size = decoder.pixels().data.buffer.byteLength;
  for (let i = 0; i < 500; i++)
    decoder.mode(1 + ((i * 37) % 1920), 1 + ((i * 53) % 1080), i % 2 === 0);
  decoder.mode(1920, 1080, false);
  expect(decoder.pixels().data.buffer.byteLength).toBe(size);
});
