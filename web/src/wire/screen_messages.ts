/** The messages about one screen, in both directions: docs/reference/wire.md lists them. */

import type { Fields } from "./fields";
import { MAX_SERIAL, oneOf, open, PROTOCOL } from "./frames";
import { PeerError, type Value } from "./msgpack";

const MAX_BLOCK = 4 << 20;
const MAX_DATA = 60_000;
const MAX_PHOTOS = 256;

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
export const goodbye = (reason: string): Value[] => [40, reason];
