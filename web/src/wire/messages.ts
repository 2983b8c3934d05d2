/**
 * The messages between the page and its server: docs/reference/wire.md lists them.
 *
 * A WebSocket message is the number of a screen (a varint of one or two bytes), then a msgpack array
 * of a message's number and its fields. The number 0 is the socket itself.
 */

import { Fields } from "./fields";
import { decode, encode, PeerError, type Value } from "./msgpack";

export const SUBPROTOCOL = "kju.1";
export const PROTOCOL = 1;
export const MAX_SCREEN = (1 << 14) - 1;
const MAX_BLOCK = 4 << 20;
const MAX_DATA = 60_000;
const MAX_PHOTOS = 256;
const MAX_SIDE = 16_384;
const MAX_SERIAL = Number.MAX_SAFE_INTEGER;

export type Role = "view" | "control" | "manage";
export const ROLES: readonly Role[] = ["view", "control", "manage"];
export type MachineState = "running" | "paused" | "off";

export interface Machine {
  readonly name: string;
  readonly kind: string;
  readonly state: MachineState;
  readonly consoles: number;
  readonly isDefined: boolean;
  /** The number of pages that show one of its screens. */
  readonly pages: number;
}

export type ServerMessage =
  | {
      type: "socket-hello";
      socket: string;
      build: string;
      user: string;
      role: Role;
      server: string;
    }
  | { type: "machines"; machines: Machine[] }
  | { type: "closed"; screen: number; reason: string }
  | { type: "result"; number: number; data: unknown; error: string; reason: string }
  | { type: "progress"; number: number; done: number; total: number }
  | {
      type: "picture";
      machine: string;
      version: number;
      width: number;
      height: number;
      screenWidth: number;
      screenHeight: number;
      data: Uint8Array;
    }
  | { type: "goodbye"; reason: string };

export interface Segment {
  readonly serial: number;
  readonly epoch: number;
  readonly version: number;
  readonly completeVersion: number;
  readonly size: number;
  readonly data: Uint8Array;
}

/** A rectangle of pixels that are close to the screen's: a JPEG. */
export interface Photo {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export type ScreenMessage =
  | {
      type: "welcome";
      codec: string;
      role: "view" | "control";
      lossy: boolean;
      rates: boolean;
    }
  | { type: "refused"; reason: string; retry: boolean }
  | { type: "mode"; serial: number; epoch: number; width: number; height: number; grey: boolean }
  | ({ type: "segment" } & Segment)
  | ({ type: "lossy-segment"; photos: Photo[] } & Segment)
  | {
      type: "cursor";
      serial: number;
      visible: boolean;
      x: number;
      y: number;
      hotX: number;
      hotY: number;
      width: number;
      height: number;
      shape: Uint8Array | null;
    }
  | { type: "state"; serial: number; state: number; reason: string }
  | { type: "ping"; serial: number; version: number }
  | { type: "done"; number: number; epoch: number; version: number; error: string; reason: string }
  | { type: "ignored" }
  | { type: "goodbye"; reason: string };

function open(data: Uint8Array, name: string): [number, Fields] {
  const value = decode(data);
  if (!Array.isArray(value)) throw new PeerError("a message that is not an array");
  const number = (value as readonly Value[])[0];
  if (typeof number !== "number") throw new PeerError("a message without a number");
  return [number, new Fields(value as readonly Value[], `${name} ${number}`)];
}

function oneOf<T extends string>(value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new PeerError("an unknown value in a message");
  return found;
}

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new PeerError("a result that is not JSON");
  }
}

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

/** Decode a message of the socket itself. */
export function decodeServerMessage(data: Uint8Array): ServerMessage {
  const [number, f] = open(data, "socket");
  switch (number) {
    case 80: {
      if (f.integer(0) !== PROTOCOL) throw new PeerError("the server has another protocol");
      return {
        type: "socket-hello",
        socket: f.text(256),
        build: f.text(256),
        user: f.text(256),
        role: oneOf(f.text(256), ROLES),
        server: f.text(256, ""),
      };
    }
    case 81:
      return {
        type: "machines",
        machines: f.rows(100_000).map((row) => ({
          name: row.text(256),
          kind: row.text(256),
          state: oneOf(row.text(256), ["running", "paused", "off"]),
          consoles: row.integer(0, 64, 1),
          isDefined: row.boolean(false),
          pages: row.integer(0, MAX_SERIAL, 0),
        })),
      };
    case 82:
      return { type: "closed", screen: f.integer(1, MAX_SCREEN), reason: f.shown(1024) };
    case 83:
      return {
        type: "result",
        number: f.integer(1, MAX_SERIAL),
        data: json(f.bytes(1 << 20, new TextEncoder().encode("null"))),
        error: f.text(256, ""),
        reason: f.shown(1024, ""),
      };
    case 84:
      return { type: "progress", number: f.integer(1), done: f.integer(0), total: f.integer(0) };
    case 85:
      return {
        type: "picture",
        machine: f.text(256),
        version: f.integer(0),
        width: f.integer(1, MAX_SIDE),
        height: f.integer(1, MAX_SIDE),
        screenWidth: f.integer(1, 65_535),
        screenHeight: f.integer(1, 65_535),
        data: f.bytes(1 << 20),
      };
    case 40:
      return { type: "goodbye", reason: f.shown(1024, "") };
    default:
      throw new PeerError(`an unknown message: ${number}`);
  }
}

function segment(f: Fields): Segment {
  const serial = f.integer(1, MAX_SERIAL);
  f.integer(0); // it depends on earlier messages, which always arrive
  return {
    serial,
    epoch: f.integer(0),
    version: f.integer(0),
    completeVersion: f.integer(0),
    size: f.integer(0, MAX_BLOCK),
    data: f.bytes(MAX_DATA),
  };
}

function photo(f: Fields): Photo {
  const [x, y] = [f.integer(0, 65_534), f.integer(0, 65_534)];
  return {
    x,
    y,
    width: f.integer(1, 65_535),
    height: f.integer(1, 65_535),
    data: f.bytes(MAX_DATA),
  };
}

/** Decode a message about one screen. */
export function decodeScreenMessage(data: Uint8Array): ScreenMessage {
  const [number, f] = open(data, "screen");
  switch (number) {
    case 17: {
      const protocol = f.integer(0);
      if (protocol !== PROTOCOL) throw new PeerError("the sender has another protocol");
      f.integer(0); // the incarnation
      const [codec, role] = [f.text(256), oneOf(f.text(256), ["view", "control"])];
      f.integer(8, 256, 32);
      const audience = f.text(256, "");
      f.bytes(128, new Uint8Array());
      const lossy = f.boolean(false);
      if (audience || (codec !== "zstd" && codec !== "raw"))
        throw new PeerError("the sender chose what was not offered");
      return { type: "welcome", codec, role, lossy, rates: f.boolean(false) };
    }
    case 18:
      return { type: "refused", reason: f.shown(1024), retry: f.boolean(false) };
    case 19:
      return {
        type: "mode",
        serial: f.integer(1, MAX_SERIAL),
        epoch: f.integer(0),
        width: f.integer(1, 65_535),
        height: f.integer(1, 65_535),
        grey: f.boolean(false),
      };
    case 20:
      return { type: "segment", ...segment(f) };
    case 27: {
      const found = segment(f);
      f.integer(0, MAX_SERIAL, 0); // acknowledged
      return { type: "lossy-segment", ...found, photos: f.rows(MAX_PHOTOS, []).map(photo) };
    }
    case 21:
      return {
        type: "cursor",
        serial: f.integer(1, MAX_SERIAL),
        visible: f.boolean(),
        x: f.integer(-32_768, 32_767),
        y: f.integer(-32_768, 32_767),
        hotX: f.integer(0, 256, 0),
        hotY: f.integer(0, 256, 0),
        width: f.integer(0, 256, 0),
        height: f.integer(0, 256, 0),
        shape: f.bytesOrNull(48_000),
      };
    case 22:
      return {
        type: "state",
        serial: f.integer(1, MAX_SERIAL),
        state: f.integer(1, 6),
        reason: f.shown(1024, ""),
      };
    case 23:
      return {
        type: "ping",
        serial: f.integer(1, MAX_SERIAL),
        version: f.integer(0, MAX_SERIAL, 0),
      };
    case 24:
      return {
        type: "done",
        number: f.integer(1, MAX_SERIAL),
        epoch: f.integer(0, Number.MAX_VALUE, 0),
        version: f.integer(0, Number.MAX_VALUE, 0),
        error: f.text(256, ""),
        reason: f.shown(1024, ""),
      };
    case 25: // an event
    case 29: // the answer to a rate
      return { type: "ignored" };
    case 40:
      return { type: "goodbye", reason: f.shown(1024, "") };
    default:
      throw new PeerError(`an unknown message: ${number}`);
  }
}

// ---- messages of the page ----

export const authenticate = (token: string): Value[] => [64, token];
export const openScreen = (screen: number, machine: string, console: number): Value[] => [
  65,
  screen,
  machine,
  console,
];
export const closeScreen = (screen: number): Value[] => [66, screen];
export const wall = (machines: readonly string[]): Value[] => [67, machines];
export const act = (
  number: number,
  machine: string,
  action: string,
  args: { readonly [name: string]: string | number | boolean | null },
): Value[] => [68, number, machine, action, args];
export const cancel = (number: number): Value[] => [69, number];
export const goodbye = (reason: string): Value[] => [40, reason];

export const hello = (
  role: "view" | "control",
  credit: number,
  previous: string,
  rate: number | null,
  photos: boolean,
): Value[] => [
  1,
  PROTOCOL,
  role,
  photos ? ["zstd", "raw", "jpeg"] : ["zstd", "raw"],
  credit,
  "",
  new Uint8Array(),
  false,
  photos,
  previous,
  rate,
];
export const ack = (serial: number, credit: number, timestamp: number): Value[] => [
  3,
  serial,
  [],
  credit,
  false,
  timestamp,
];
export const input = (number: number, body: Uint8Array, timestamp: number): Value[] => [
  4,
  number,
  body,
  timestamp,
];
export const rate = (number: number, value: number | null): Value[] => [6, number, value];
