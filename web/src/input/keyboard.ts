/**
 * The keyboard: positions of keys, so that the guest's layout decides. No DOM but the events' fields.
 */

import { KEYS } from "./keys";
import type { KeyStep } from "./outbox";

/** The fields of any event that knows the modifiers, such as a PointerEvent. */
export interface ModifierLike {
  getModifierState(name: string): boolean;
}

/** The fields of a KeyboardEvent that are used. */
export interface KeyLike extends ModifierLike {
  readonly code: string;
  readonly key: string;
}

/** Keys, and the names of getModifierState of which one is true while they are held. */
const MODIFIERS: readonly (readonly [readonly string[], readonly string[]])[] = [
  [["ShiftLeft", "ShiftRight"], ["Shift"]],
  [["ControlLeft", "ControlRight"], ["Control"]],
  [["AltLeft"], ["Alt"]],
  // The layout decides whether it is a second Alt.
  [["AltRight"], ["AltGraph", "Alt"]],
  [
    ["MetaLeft", "MetaRight"],
    ["Meta", "OS"],
  ],
];

export class Keyboard {
  private readonly held = new Map<string, number>();

  /**
   * @param send Takes each key step.
   * @param isMac macOS reports Caps Lock as held while it is lit.
   */
  constructor(
    private readonly send: (step: KeyStep) => void,
    private readonly isMac = false,
  ) {}

  /** Return whether the key is known to the guest; then the browser must not act on it. */
  down(event: KeyLike): boolean {
    const key = KEYS[event.code];
    if (key === undefined) return false;
    this.releaseStuck(event, event.code);
    if (this.isMac && event.code === "CapsLock") {
      this.tap(key);
      return true;
    }
    // The browser's repeats are not sent: the guest repeats a held key itself.
    if (!this.held.has(event.code)) {
      this.held.set(event.code, key);
      this.send([key, true]);
    }
    return true;
  }

  up(event: KeyLike): boolean {
    if (this.isMac && event.code === "CapsLock") this.tap(KEYS.CapsLock ?? 0);
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

  /**
   * Release modifiers that were released where this page did not see it, as by Alt+Tab.
   *
   * @param event The next event of a key or the pointer.
   * @param pressed The code of a key that goes down now.
   */
  releaseStuck(event: ModifierLike, pressed = ""): void {
    if (this.held.size === 0) return;
    for (const [codes, names] of MODIFIERS) {
      if (names.some((name) => event.getModifierState(name))) continue;
      for (const code of codes) {
        const key = this.held.get(code);
        if (key === undefined || code === pressed) continue;
        this.held.delete(code);
        this.send([key, false]);
      }
    }
  }

  private tap(key: number): void {
    this.send([key, true]);
    this.send([key, false]);
  }
}
