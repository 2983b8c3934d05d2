/**
 * Inputs on their way to the guest. Keys and buttons are sent in order. Of moves only the newest
 * waits, at most one is under way, and no button overtakes the move before it. No DOM.
 */

import type { Value } from "../wire/msgpack";

export type Body = { readonly [key: string]: Value };
/** A key by QEMU's number, and whether it goes down. */
export type KeyStep = readonly [key: number, down: boolean];
export type PointerAction =
  | readonly ["to", number, number]
  | readonly ["by", number, number]
  | readonly ["button", number, boolean]
  | readonly ["wheel", number, number]
  | readonly ["finger", number, "begin" | "move" | "end", number, number];

/** Sends inputs; a `ScreenSession`. */
export interface InputChannel {
  readonly canSend: boolean;
  readonly inputsUnderWay: number;
  sendInput(body: Body): void;
}

/** Inputs under way before others wait here and are joined. */
const UNDER_WAY = 8;
/** The most actions of one input, and the most that wait. */
const MAX_JOINED = 128;
const MAX_WAITING = 1024;

export class Outbox {
  private waiting: ({ key: KeyStep } | { pointer: PointerAction })[] = [];

  constructor(private readonly channel: InputChannel) {}

  key(step: KeyStep): void {
    this.add({ key: step });
  }

  pointer(action: PointerAction): void {
    const last = this.waiting.at(-1);
    if (last !== undefined && "pointer" in last) {
      const joined = join(last.pointer, action);
      if (joined !== null) {
        this.waiting[this.waiting.length - 1] = { pointer: joined };
        this.flush();
        return;
      }
    }
    this.add({ pointer: action });
  }

  /** Send what waits, as far as it may. Call it after each answer. */
  flush(): void {
    while (this.waiting.length > 0 && this.channel.canSend) {
      const first = this.waiting[0];
      const isMove = first !== undefined && "pointer" in first && first.pointer[0] === "to";
      const most = isMove && this.waiting.length === 1 ? 1 : UNDER_WAY;
      if (this.channel.inputsUnderWay >= most) return;
      this.sendFirst();
    }
  }

  /** Drop what waits: the session is over. */
  clear(): void {
    this.waiting = [];
  }

  private add(entry: { key: KeyStep } | { pointer: PointerAction }): void {
    // A guest that takes nothing for so long has no use for the rest; but nothing may stay down.
    if (this.waiting.length < MAX_WAITING || isRelease(entry)) this.waiting.push(entry);
    this.flush();
  }

  private sendFirst(): void {
    const keys: KeyStep[] = [];
    const actions: PointerAction[] = [];
    for (const entry of this.waiting) {
      if (keys.length + actions.length === MAX_JOINED) break;
      if ("key" in entry && actions.length === 0) keys.push(entry.key);
      else if ("pointer" in entry && keys.length === 0) actions.push(entry.pointer);
      else break;
    }
    this.waiting.splice(0, keys.length + actions.length);
    this.channel.sendInput(
      keys.length > 0 ? { type: "keys", steps: keys } : { type: "point", actions },
    );
  }
}

function isRelease(entry: { key: KeyStep } | { pointer: PointerAction }): boolean {
  if ("key" in entry) return !entry.key[1];
  const [kind, , last] = entry.pointer;
  return (kind === "button" && last === false) || (kind === "finger" && last === "end");
}

/** Join two pointer actions that follow each other; null if both are needed. */
function join(first: PointerAction, second: PointerAction): PointerAction | null {
  if (first[0] === "to" && second[0] === "to") return second;
  if (first[0] === "by" && second[0] === "by")
    return ["by", first[1] + second[1], first[2] + second[2]];
  if (first[0] === "wheel" && second[0] === "wheel")
    return ["wheel", first[1] + second[1], first[2] + second[2]];
  if (
    first[0] === "finger" &&
    second[0] === "finger" &&
    first[1] === second[1] &&
    first[2] === "move" &&
    second[2] === "move"
  )
    return second;
  return null;
}
