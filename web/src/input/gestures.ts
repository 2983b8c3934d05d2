/**
 * Touch. One finger is the pointer: directly, or as on a touchpad. Two fingers scroll, and zoom when
 * they move apart; a tap with two is the right button, a long press too. No DOM: points in, actions
 * out, so that every gesture is a table of points in a test.
 */

import type { Size } from "../screen/scale";
import type { PointerAction } from "./outbox";

export interface TouchPoint {
  readonly id: number;
  readonly x: number;
  readonly y: number;
}

export interface TouchTarget {
  /** Whether the guest's pointer takes positions; else every touch is that of a touchpad. */
  readonly isAbsolute: boolean;
  /** The guest's pixel under a point. */
  pixel(x: number, y: number): [number, number];
  size(): Size;
  send(action: PointerAction): void;
  /** Two fingers have moved apart: a factor, around a point. */
  zoom(factor: number, x: number, y: number): void;
  /** Two fingers have moved over a picture that is zoomed; false if it is not. */
  pan(dx: number, dy: number): boolean;
}

/** CSS pixels that a finger may move in a tap; milliseconds of a tap and of a long press. */
const SLOP = 10;
const TAP_TIME = 300;
const LONG_PRESS = 500;
/** CSS pixels of two fingers for one notch of the wheel; the change that is a zoom. */
const NOTCH = 24;
const ZOOM_SLOP = 24;
/** The pointer's way for a finger's, on a touchpad. */
const SPEED = 1.6;

type Phase = "none" | "one" | "move" | "drag" | "two" | "zoom" | "over";

export class Gestures {
  wantsTouchpad = false;
  private readonly points = new Map<number, TouchPoint>();
  private phase: Phase = "none";
  private begin: TouchPoint = { id: 0, x: 0, y: 0 };
  private beganAt = 0;
  private last = { x: 0, y: 0 };
  private distance = 0;
  private scrolled = { x: 0, y: 0 };
  private hasScrolled = false;
  private place: [number, number] | null = null;
  private heldButton: number | null = null;

  constructor(
    private readonly target: TouchTarget,
    private readonly now: () => number,
  ) {}

  private get isTouchpad(): boolean {
    return this.wantsTouchpad || !this.target.isAbsolute;
  }

  down(point: TouchPoint): void {
    this.points.set(point.id, point);
    if (this.points.size === 1) {
      this.release();
      this.phase = "one";
      this.begin = point;
      this.beganAt = this.now();
      this.last = point;
      if (!this.isTouchpad) this.moveTo(point);
    } else if (this.points.size === 2 && (this.phase === "one" || this.phase === "two")) {
      this.phase = "two";
      const middle = this.middle();
      this.last = middle;
      this.begin = { id: 0, ...middle };
      this.distance = this.apart();
      this.scrolled = { x: 0, y: 0 };
      this.hasScrolled = false;
    } else this.giveUp();
  }

  move(point: TouchPoint): void {
    if (!this.points.has(point.id)) return;
    this.points.set(point.id, point);
    if (this.phase === "one" || this.phase === "move" || this.phase === "drag") this.moveOne(point);
    else if (this.phase === "two" || this.phase === "zoom") this.moveTwo();
  }

  up(point: TouchPoint): void {
    if (!this.points.delete(point.id)) return;
    const took = this.now() - this.beganAt;
    if (this.phase === "one" && took < TAP_TIME) this.click(0);
    else if (this.phase === "two" && !this.hasScrolled && took < TAP_TIME) {
      this.click(2);
      this.phase = "over";
    }
    if (this.points.size === 0) {
      this.release();
      this.phase = "none";
    } else this.phase = "over";
  }

  /** Look at the time: a finger that rests is a press of the right button. */
  tick(): void {
    if (this.phase !== "one" || this.now() - this.beganAt < LONG_PRESS) return;
    if (this.isTouchpad) this.press(0);
    else this.click(2);
    this.phase = this.isTouchpad ? "drag" : "over";
  }

  /** The browser took a touch: lift everything. */
  cancel(id: number): void {
    this.points.delete(id);
    this.giveUp();
  }

  /** Lift everything; the fingers that are down do nothing more. */
  giveUp(): void {
    this.release();
    this.phase = this.points.size > 0 ? "over" : "none";
  }

  clear(): void {
    this.points.clear();
    this.giveUp();
  }

  private moveOne(point: TouchPoint): void {
    const far = Math.hypot(point.x - this.begin.x, point.y - this.begin.y) > SLOP;
    if (this.phase === "one" && !far) return;
    if (this.isTouchpad) {
      if (this.phase === "one") this.phase = "move";
      this.moveBy(point.x - this.last.x, point.y - this.last.y);
    } else {
      if (this.phase === "one") {
        this.phase = "drag";
        this.press(0);
      }
      this.moveTo(point);
    }
    this.last = point;
  }

  private moveTwo(): void {
    const [middle, apart] = [this.middle(), this.apart()];
    if (this.phase === "two" && Math.abs(apart - this.distance) > ZOOM_SLOP && !this.hasScrolled) {
      this.phase = "zoom";
      this.distance = apart;
    }
    const [dx, dy] = [middle.x - this.last.x, middle.y - this.last.y];
    this.last = middle;
    if (this.phase === "zoom") {
      this.target.zoom(apart / this.distance, middle.x, middle.y);
      this.distance = apart;
      this.target.pan(dx, dy);
      return;
    }
    if (this.hasScrolled || Math.hypot(middle.x - this.begin.x, middle.y - this.begin.y) > SLOP)
      this.scroll(dx, dy);
  }

  private scroll(dx: number, dy: number): void {
    this.hasScrolled = true;
    // Fingers that move up show what is below, as on every phone.
    this.scrolled.x -= dx;
    this.scrolled.y -= dy;
    const [x, y] = [Math.trunc(this.scrolled.x / NOTCH), Math.trunc(this.scrolled.y / NOTCH)];
    if (x === 0 && y === 0) return;
    this.scrolled.x -= x * NOTCH;
    this.scrolled.y -= y * NOTCH;
    this.target.send(["wheel", y, x]);
  }

  private moveTo(point: TouchPoint): void {
    this.place = this.target.pixel(point.x, point.y);
    this.target.send(["to", ...this.place]);
  }

  private moveBy(dx: number, dy: number): void {
    if (!this.target.isAbsolute) {
      this.target.send(["by", Math.round(dx * SPEED), Math.round(dy * SPEED)]);
      return;
    }
    const { width, height } = this.target.size();
    const [left, top] = this.target.pixel(0, 0);
    const [right, bottom] = this.target.pixel(100, 100);
    const scale = { x: (right - left) / 100 || 1, y: (bottom - top) / 100 || 1 };
    const [x, y] = this.place ?? [width / 2, height / 2];
    this.place = [
      Math.round(Math.min(Math.max(x + dx * SPEED * scale.x, 0), width - 1)),
      Math.round(Math.min(Math.max(y + dy * SPEED * scale.y, 0), height - 1)),
    ];
    this.target.send(["to", ...this.place]);
  }

  private press(button: number): void {
    this.heldButton = button;
    this.target.send(["button", button, true]);
  }

  private release(): void {
    if (this.heldButton === null) return;
    this.target.send(["button", this.heldButton, false]);
    this.heldButton = null;
  }

  private click(button: number): void {
    this.press(button);
    this.release();
  }

  private middle(): { x: number; y: number } {
    const [a, b] = [...this.points.values()];
    if (a === undefined || b === undefined) return this.last;
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }

  private apart(): number {
    const [a, b] = [...this.points.values()];
    return a === undefined || b === undefined ? 1 : Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1);
  }
}
