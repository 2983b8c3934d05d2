/** Every message of the specification, from the vectors that the server's tests use too. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { splitFrame } from "../src/wire/frames";
import { decode, encode, type Value } from "../src/wire/msgpack";
import { decodeScreenMessage } from "../src/wire/screen_messages";
import { decodeServerMessage } from "../src/wire/socket_messages";

interface Vector {
  name: string;
  from: "page" | "server";
  screen: number;
  message: unknown[];
  hex: string;
}

const file = new URL("../../tests/support/websocket_vectors.json", import.meta.url);
const vectors = (JSON.parse(readFileSync(file, "utf8")) as { messages: Vector[] }).messages;
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

describe.each(vectors)("$name", (vector) => {
  const bytes = bytesOf(vector.hex);

  it("begins with the number of its screen", () => {
    expect(splitFrame(bytes)[0]).toBe(vector.screen);
  });

  it("is the same after decoding, encoding and decoding", () => {
    // Not the same bytes: JavaScript writes a rate of 2.0 as 2.
    const [, body] = splitFrame(bytes);
    expect(decode(encode(decode(body) as Value))).toEqual(decode(body));
  });

  it.runIf(vector.from === "server")("is known to the page", () => {
    const [screen, body] = splitFrame(bytes);
    const message = screen === 0 ? decodeServerMessage(body) : decodeScreenMessage(body);
    expect(message.type).toBeTruthy();
  });
});
