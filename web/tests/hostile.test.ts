/** Random and altered bytes: an error or a message, never another exception. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { splitFrame } from "../src/wire/frames";
import { decode, encode, PeerError, type Value } from "../src/wire/msgpack";
import { decodeScreenMessage } from "../src/wire/screen_messages";
import { decodeServerMessage } from "../src/wire/socket_messages";

function survives(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(PeerError);
  }
}

it("random bytes are a message or a PeerError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      survives(() => decode(bytes));
      survives(() => splitFrame(bytes));
      survives(() => decodeServerMessage(bytes));
      survives(() => decodeScreenMessage(bytes));
    }),
    { numRuns: 5_000 },
  );
});

it("arrays of any values are a message or a PeerError", () => {
  const value = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true }),
      fc.string(),
      fc.uint8Array({ maxLength: 20 }),
      fc.array(tie("value"), { maxLength: 6 }),
    ),
  })).value;
  const numbers = fc.constantFrom(16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 29, 40, 80, 81, 85);
  fc.assert(
    fc.property(numbers, fc.array(value, { maxLength: 12 }), (number, fields) => {
      const bytes = encode([number, ...fields]);
      survives(() => decodeServerMessage(bytes));
      survives(() => decodeScreenMessage(bytes));
    }),
    { numRuns: 5_000 },
  );
});

it("values survive encoding and decoding", () => {
  const simple = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    fc.double({ noNaN: true }).map((x) => x + 0), // no negative zero
    fc.string({ unit: "grapheme" }),
    fc.uint8Array(),
  );
  fc.assert(
    fc.property(fc.array(simple), (values) => {
      expect(decode(encode(values as Value))).toEqual(values);
    }),
  );
});

it("nesting and claimed lengths cost nothing", () => {
  survives(() => decode(new Uint8Array(100_000).fill(0x91)));
  survives(() => decode(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)));
  survives(() => decode(Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff)));
  survives(() => decode(Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff)));
  expect(() => decode(Uint8Array.of(0xc4, 2, 1))).toThrow(PeerError);
});

it("keys cannot reach prototypes", () => {
  const found = decode(encode({ ["__proto__"]: 1 } as Value)) as { [key: string]: unknown };
  expect(Object.getPrototypeOf(found)).toBe(null);
});

it("the module's file is small", () => {
  const file = new URL("../../src/kju/web/static/screen.wasm", import.meta.url);
  expect(readFileSync(file).length).toBeLessThan(100_000);
});
