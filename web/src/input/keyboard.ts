/**
 * The keyboard: positions of keys, so that the guest's layout decides. No DOM but the events' fields.
 */

import { KEYS } from "./keys";
import type { KeyStep } from "./outbox";

/** The fields of a KeyboardEvent that are used. */
export interface KeyLike {
  readonly code: string;
  readonly key: string;
  getModifierState(name: string): boolean;
}

/** Modifiers by the names of getModifierState, and their keys. */
const MODIFIERS: readonly (readonly [string, readonly string[]])[] = [
  ["Shift", ["ShiftLeft", "ShiftRight"]],
  ["Control", ["ControlLeft", "ControlRight"]],
  ["Alt", ["AltLeft"]],
  ["AltGraph", ["AltRight"]],
  ["Meta", ["MetaLeft", "MetaRight"]],
];

export class Keyboard {
  private readonly held = new Map<string, number>();

  /** @param send Takes each key step. */
  constructor(private readonly send: (step: KeyStep) => void) {}

  /** Return whether the key is known to the guest; then the browser must not act on it. */
  down(event: KeyLike): boolean {
    const key = KEYS[event.code];
    if (key === undefined) return false;
    this.releaseStuck(event);
    // The browser's repeats are not sent: the guest repeats a held key itself.
    if (!this.held.has(event.code)) {
      this.held.set(event.code, key);
      this.send([key, true]);
    }
    return true;
  }

  up(event: KeyLike): boolean {
    const key = this.held.get(event.code);
    if (key === undefined) return KEYS[event.code] !== undefined;
    this.held.delete(event.code);
    this.send([key, false]);
    // macOS reports no release of keys that were pressed with Command.
    if (event.code === "MetaLeft" || event.code === "MetaRight") this.releaseAll();
    return true;
  }

  /** Release every key: the page has lost the focus. */
  releaseAll(): void {
    for (const key of [...this.held.values()].reverse()) this.send([key, false]);
    this.held.clear();
  }

  /** Press keys together and release them, such as Ctrl+Alt+Del, by their codes. */
  chord(codes: readonly string[]): void {
    const keys = codes.flatMap((code) => KEYS[code] ?? []);
    this.releaseAll();
    for (const key of keys) this.send([key, true]);
    for (const key of [...keys].reverse()) this.send([key, false]);
  }

  get hasHeld(): boolean {
    return this.held.size > 0;
  }

  /** A modifier was released where this page did not see it, as by Alt+Tab. */
  private releaseStuck(event: KeyLike): void {
    for (const [name, codes] of MODIFIERS) {
      if (event.getModifierState(name)) continue;
      for (const code of codes) {
        const key = this.held.get(code);
        if (key === undefined || code === event.code) continue;
        this.held.delete(code);
        this.send([key, false]);
      }
    }
  }
}
