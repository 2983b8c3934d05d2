/** The messages of the socket itself, on screen 0: docs/reference/wire.md lists them. */

import { MAX_SCREEN, MAX_SERIAL, oneOf, open, PROTOCOL } from "./frames";
import { PeerError, type Value } from "./msgpack";

/** The sides of a small picture. */
const MAX_SIDE = 16_384;

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

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new PeerError("a result that is not JSON");
  }
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
