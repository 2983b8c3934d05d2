/**
 * WebSocket messages: the number of a screen (a varint of one or two bytes), then a msgpack array of
 * a message's number and its fields. The number 0 is the socket itself.
 */

import { Fields } from "./fields";
import { decode, encode, PeerError, type Value } from "./msgpack";

export const SUBPROTOCOL = "kju.1";
export const PROTOCOL = 1;
export const MAX_SCREEN = (1 << 14) - 1;
export const MAX_SERIAL = Number.MAX_SAFE_INTEGER;

/** Split a WebSocket message into the number of a screen and the message. */
export function splitFrame(bytes: Uint8Array): [number, Uint8Array] {
  const [first, second] = bytes;
  if (first === undefined || bytes.length < 2) throw new PeerError("an empty message");
  if (first < 0x80) return [first, bytes.subarray(1)];
  if (second === undefined || second < 1 || second > 0x7f || bytes.length < 3)
    throw new PeerError("an invalid number of a screen");
  return [(first & 0x7f) | (second << 7), bytes.subarray(2)];
}

/** Encode a WebSocket message: the number of a screen, then a message. */
export function frame(screen: number, message: readonly Value[]): Uint8Array<ArrayBuffer> {
  const body = encode(message);
  const head = screen < 0x80 ? [screen] : [(screen & 0x7f) | 0x80, screen >> 7];
  const made = new Uint8Array(head.length + body.length);
  made.set(head);
  made.set(body, head.length);
  return made;
}

/** Return the number of a message, and its fields. */
export function open(data: Uint8Array, name: string): [number, Fields] {
  const value = decode(data);
  if (!Array.isArray(value)) throw new PeerError("a message that is not an array");
  const number = (value as readonly Value[])[0];
  if (typeof number !== "number") throw new PeerError("a message without a number");
  return [number, new Fields(value as readonly Value[], `${name} ${number}`)];
}

/** Return a text that is one of these. */
export function oneOf<T extends string>(value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new PeerError("an unknown value in a message");
  return found;
}
