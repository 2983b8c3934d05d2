/** Photos: which JPEGs are accepted, their order among other messages, and how they are drawn. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder } from "../src/screen/decoder";
import { checkJpeg } from "../src/wire/jpeg";
import { decode, encode, PeerError, type Value } from "../src/wire/msgpack";
import type { PhotoDecoder, Picture } from "../src/wire/picture_stream";
import { ScreenSession } from "../src/wire/session";
import { wasm } from "./wasm";

/** Made by `kju.wire.jpeg.compress`: 24 x 16. */
const COLOUR = Uint8Array.from(
  Buffer.from(
    "ffd8ffdb00430006040506050406060506070706080a100a0a09090a140e0f0c1017141818171416161a1d251f" +
      "1a1b231c1616202c20232627292a29191f2d302d283025282928ffdb0043010707070a080a130a0a13281a161a" +
      "282828282828282828282828282828282828282828282828282828282828282828282828282828282828282828" +
      "2828282828ffc00011080010001803012200021101031101ffda000c03010002110311003f00f08b3d03a7c95b" +
      "767a074f93f4af40b3f0ff004f92b6ecf40e9f27e95cb96673b6a6186c6f99e7f67e1fe9f27e9457add9e81d3e" +
      "4a2bee70d9cfb9b9ee53c6fbbb9fffd9",
    "hex",
  ),
);
const GREY = Uint8Array.from(
  Buffer.from(
    "ffd8ffdb00430006040506050406060506070706080a100a0a09090a140e0f0c1017141818171416161a1d251f" +
      "1a1b231c1616202c20232627292a29191f2d302d283025282928ffc0000b080010001801011100ffda00080101" +
      "00003f00f0cff844ff00e99fe947fc227ff4cff4a3fe113ffa67fa57d01ff089ff00d33fd28ff844ff00e99fe9" +
      "47fc227ff4cff4afffd9",
    "hex",
  ),
);
const FRAME = COLOUR.findIndex((byte, at) => byte === 0xff && COLOUR[at + 1] === 0xc0);
const SCAN = COLOUR.findIndex((byte, at) => byte === 0xff && COLOUR[at + 1] === 0xda);

const altered = (...changes: readonly (readonly [number, number])[]) => {
  const made = COLOUR.slice();
  for (const [at, value] of changes) made[at] = value;
  return made;
};
const joined = (...parts: readonly (Uint8Array | readonly number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

describe("a JPEG", () => {
  it("of the server's encoder is accepted", () => {
    checkJpeg(COLOUR, 24, 16, false);
    checkJpeg(GREY, 24, 16, true);
  });

  it.each([
    ["of another size", COLOUR, 16, 24, false],
    ["of another number of channels", COLOUR, 24, 16, true],
    ["that is empty", new Uint8Array(), 24, 16, false],
    ["that is progressive", altered([FRAME + 1, 0xc2]), 24, 16, false],
    ["with 12 bits", altered([FRAME + 4, 12]), 24, 16, false],
    ["with a sampling of 4", altered([FRAME + 11, 0x41]), 24, 16, false],
    ["with two scans", altered([SCAN + 4, 1]), 24, 16, false],
    ["with a comment", altered([FRAME + 1, 0xfe]), 24, 16, false],
    ["with bytes behind it", joined(COLOUR, [0]), 24, 16, false],
    ["with a second picture behind it", joined(COLOUR, COLOUR), 24, 16, false],
    ["with two frames", joined(COLOUR.subarray(0, SCAN), COLOUR.subarray(FRAME)), 24, 16, false],
    ["with a segment beyond its end", altered([4, 0xff]), 24, 16, false],
  ] as const)("%s is refused", (_, data, width, height, grey) => {
    expect(() => checkJpeg(data, width, height, grey)).toThrow(PeerError);
  });

  it("that was cut off anywhere is refused", () => {
    for (let length = 0; length < COLOUR.length; length++)
      expect(() => checkJpeg(COLOUR.subarray(0, length), 24, 16, false)).toThrow(PeerError);
  });

  it("of any bytes is accepted or refused", () => {
    const edits = fc.array(fc.tuple(fc.nat(COLOUR.length - 1), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(edits, (changes) => {
        try {
          checkJpeg(altered(...changes), 24, 16, false);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerError);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

class Recorder implements Picture {
  readonly drawn: string[] = [];
  mode(width: number, height: number) {
    this.drawn.push(`mode ${width}x${height}`);
  }
  draw(data: Uint8Array) {
    this.drawn.push(`block ${data[0]}`);
    return Uint32Array.of(0, 0, 1, 1);
  }
  drawPhoto(x: number, y: number, width: number, height: number) {
    this.drawn.push(`photo ${x},${y} ${width}x${height}`);
  }
  unpack(_: Uint8Array, size: number) {
    return new Uint8Array(size);
  }
}

/** A session of 64 x 48 whose photos are decoded when `finish` is called. */
function begun(photos: PhotoDecoder | null, isLossy = true) {
  const picture = new Recorder();
  const sent: Value[][] = [];
  const failures: PeerError[] = [];
  const nothing = () => {};
  const session = new ScreenSession(
    1,
    picture,
    {
      welcomed: nothing,
      modeChanged: nothing,
      drawn: (rects) => picture.drawn.push(`drawn ${rects.join(" ")}`),
      cursorChanged: nothing,
      stateChanged: nothing,
      completed: nothing,
      answered: nothing,
      reacted: nothing,
      ended: nothing,
    },
    {
      send: (bytes) => sent.push(decode(bytes.subarray(1)) as Value[]),
      now: () => 1,
      photos,
      failed: (error) => failures.push(error),
    },
  );
  const receive = (...message: Value[]) => session.receive(encode(message));
  session.begin("view", "");
  receive(17, 1, 5, "raw", "view", 32, "", new Uint8Array(), isLossy, true);
  receive(19, 1, 1, 64, 48);
  picture.drawn.length = 0;
  return { picture, sent, failures, session, receive };
}

function waiting() {
  const pending: { resolve: (pixels: Uint8Array) => void; reject: (error: Error) => void }[] = [];
  const photos: PhotoDecoder = () =>
    new Promise((resolve, reject) => {
      pending.push({ resolve, reject });
    });
  return { pending, photos };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const photo = (x: number, y: number, data = COLOUR, width = 24, height = 16) =>
  [x, y, width, height, data] as const;
const lossy = (serial: number, photos: readonly Value[]): Value[] => [
  27,
  serial,
  0,
  1,
  serial,
  0,
  1,
  Uint8Array.of(serial),
  0,
  photos,
];
const exact = (serial: number): Value[] => [
  20,
  serial,
  0,
  1,
  serial,
  serial,
  1,
  Uint8Array.of(serial),
];

describe("a session with photos", () => {
  it("offers JPEG only if the page can decode it", () => {
    expect(begun(waiting().photos).sent[0]?.slice(3, 9)).toEqual([
      ["zstd", "raw", "jpeg"],
      1 << 20,
      "",
      new Uint8Array(),
      false,
      true,
    ]);
    expect(begun(null, false).sent[0]?.[3]).toEqual(["zstd", "raw"]);
    expect(() => begun(null)).toThrow(PeerError);
    const none = begun(null, false);
    expect(() => none.receive(...lossy(2, [photo(0, 0)]))).toThrow(PeerError);
  });

  it("draws in the sender's order, and acknowledges after that", async () => {
    const { pending, photos } = waiting();
    const { picture, sent, receive, session } = begun(photos);
    receive(...lossy(2, [photo(0, 0), photo(40, 32)]));
    receive(...exact(3));
    receive(...lossy(4, [photo(8, 8)]));
    receive(...exact(5));
    session.acknowledge();
    expect(picture.drawn).toEqual([]);
    expect(sent.at(-1)).toEqual([3, 1, [], 1 << 20, false, 0]);
    for (const { resolve } of pending.splice(0)) resolve(new Uint8Array(4 * 24 * 16));
    await settled();
    expect(picture.drawn).toEqual([
      "block 2",
      "photo 0,0 24x16",
      "photo 40,32 24x16",
      "drawn 0 0 1 1 0 0 24 16 40 32 24 16",
      "block 3",
      "drawn 0 0 1 1",
    ]);
    expect(sent.at(-1)?.slice(0, 2)).toEqual([3, 3]);
    pending.splice(0)[0]?.resolve(new Uint8Array(4 * 24 * 16));
    await settled();
    expect(picture.drawn.at(-2)).toBe("block 5");
    expect(sent.at(-1)?.slice(0, 2)).toEqual([3, 5]);
  });

  it("answers inputs while a photo is decoded", () => {
    const { pending, photos } = waiting();
    const { receive, session } = begun(photos);
    session.sendInput({ type: "keys", steps: [] });
    receive(...lossy(2, [photo(0, 0)]));
    expect(pending).toHaveLength(1);
    receive(24, 1, 1, 1, "", "");
    expect(session.inputsUnderWay).toBe(0);
  });

  it.each([
    ["outside the picture", [photo(41, 0)]],
    ["of another size", [photo(0, 0, COLOUR, 23)]],
    ["that is not a JPEG", [photo(0, 0, Uint8Array.of(1, 2, 3))]],
  ] as const)("refuses a photo %s before anything is drawn", (_, photos) => {
    const { pending, photos: decoder } = waiting();
    const { picture, receive } = begun(decoder);
    expect(() => receive(...lossy(2, photos))).toThrow(PeerError);
    expect(picture.drawn).toEqual([]);
    expect(pending).toEqual([]);
  });

  it("refuses photos of too many pixels", () => {
    const { photos } = waiting();
    const { receive } = begun(photos);
    receive(19, 2, 1, 4096, 4096);
    const large = COLOUR.slice();
    large.set([0x08, 0x00, 0x02, 0x00], FRAME + 5); // 512 x 2048
    expect(() => receive(...lossy(3, [photo(0, 0, large, 512, 2048), photo(0, 0)]))).toThrow(
      "too many pixels",
    );
  });

  it("reports a photo that cannot be decoded", async () => {
    const { pending, photos } = waiting();
    const { picture, failures, receive } = begun(photos);
    receive(...lossy(2, [photo(0, 0)]));
    pending[0]?.reject(new PeerError("a photo that cannot be decoded"));
    await settled();
    expect(failures.map((error) => error.message)).toEqual(["a photo that cannot be decoded"]);
    expect(picture.drawn).toEqual([]);
  });

  it("draws nothing after it was abandoned", async () => {
    const { pending, photos } = waiting();
    const { picture, failures, receive, session } = begun(photos);
    receive(...lossy(2, [photo(0, 0)]));
    receive(...exact(3));
    session.abandon();
    pending[0]?.resolve(new Uint8Array(4 * 24 * 16));
    await settled();
    expect([picture.drawn, failures]).toEqual([[], []]);
  });

  it("keeps a bounded number of bytes behind a photo", () => {
    const { photos } = waiting();
    const { receive } = begun(photos);
    receive(...lossy(2, [photo(0, 0)]));
    const segment = (serial: number): Value[] => [
      20,
      serial,
      0,
      1,
      serial,
      serial,
      50_000,
      new Uint8Array(50_000),
    ];
    expect(() => {
      for (let serial = 3; serial < 200; serial++) receive(...segment(serial));
    }).toThrow("too much waits");
  });
});

describe("a photo in the picture", () => {
  it.each([false, true])("has the decoded pixels, and moves take them along (grey: %s)", (grey) => {
    const decoder = new Decoder(wasm);
    decoder.mode(8, 4, grey);
    const pixels = Uint8Array.from({ length: 4 * 2 * 2 }, (_, i) => 10 * i);
    decoder.drawPhoto(1, 2, 2, 2, pixels);
    const move = Uint8Array.of(1, 5, 0, 1, 1, 1, 2);
    decoder.draw(move, move.length, true);
    const { data } = decoder.pixels();
    for (const [x, y, i] of [
      [1, 2, 0],
      [2, 3, 3],
      [5, 0, 0],
      [6, 1, 3],
    ] as const) {
      const [blue = 0, green = 0, red = 0] = pixels.subarray(4 * i);
      const at = 4 * (8 * y + x);
      const shown = grey ? [green, green, green, 255] : [red, green, blue, 255];
      expect([...data.subarray(at, at + 4)]).toEqual(shown);
    }
    expect([...data.subarray(0, 4)]).toEqual([0, 0, 0, 255]);
  });

  it("outside it, or of another size, is refused", () => {
    const decoder = new Decoder(wasm);
    expect(() => decoder.drawPhoto(0, 0, 1, 1, new Uint8Array(4))).toThrow(PeerError);
    decoder.mode(8, 4, false);
    const before = decoder.pixels().data.slice();
    for (const [x, y, width, height] of [
      [7, 0, 2, 1],
      [0, 3, 1, 2],
      [2 ** 32 - 1, 0, 2, 1],
      [0, 0, 0, 1],
      [0, 0, 2 ** 31, 2 ** 31],
    ] as const)
      expect(() =>
        decoder.drawPhoto(x, y, width, height, new Uint8Array(Math.min(4 * width * height, 64))),
      ).toThrow(PeerError);
    expect(() => decoder.drawPhoto(0, 0, 2, 2, new Uint8Array(15))).toThrow(PeerError);
    expect(decoder.pixels().data).toEqual(before);
  });
});
