/** The mouse: positions at every scale, buttons in order, the wheel in whole notches. */

import { pixelAt, type Size } from "../screen/scale";
import type { PointerAction } from "./outbox";

/** The guest's numbers of buttons by those of a PointerEvent: left, middle, right, side, extra. */
const BUTTONS = [0, 1, 2, 3, 4];
/** Pixels of a wheel's notch, and lines and pages in pixels. */
const NOTCH = 100;
const LINE = 40;

export class Pointer {
  private readonly held = new Set<number>();
  private wheelX = 0;
  private wheelY = 0;

  /**
   * @param element The picture.
   * @param size The guest's size.
   * @param isAbsolute Whether the guest's pointer takes positions.
   */
  constructor(
    private readonly element: HTMLElement,
    private readonly size: () => Size,
    private readonly isAbsolute: () => boolean,
    private readonly send: (action: PointerAction) => void,
  ) {}

  move(event: PointerEvent): void {
    if (this.isAbsolute()) this.send(["to", ...this.pixel(event)]);
    else if (document.pointerLockElement === this.element)
      this.send(["by", Math.round(event.movementX), Math.round(event.movementY)]);
  }

  down(event: PointerEvent): void {
    if (!this.isAbsolute() && document.pointerLockElement !== this.element) {
      void this.element.requestPointerLock();
      return;
    }
    const button = BUTTONS[event.button];
    if (button === undefined) return;
    if (this.isAbsolute()) this.send(["to", ...this.pixel(event)]);
    this.held.add(button);
    this.send(["button", button, true]);
  }

  up(event: PointerEvent): void {
    const button = BUTTONS[event.button];
    if (button === undefined || !this.held.delete(button)) return;
    if (this.isAbsolute()) this.send(["to", ...this.pixel(event)]);
    this.send(["button", button, false]);
  }

  wheel(event: WheelEvent): void {
    const unit = event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? LINE : 10 * LINE;
    this.wheelX += event.deltaX * unit;
    this.wheelY += event.deltaY * unit;
    const [x, y] = [Math.trunc(this.wheelX / NOTCH), Math.trunc(this.wheelY / NOTCH)];
    if (x === 0 && y === 0) return;
    this.wheelX -= x * NOTCH;
    this.wheelY -= y * NOTCH;
    this.send(["wheel", y, x]);
  }

  /** Release every button: the page has lost the focus. */
  releaseAll(): void {
    for (const button of this.held) this.send(["button", button, false]);
    this.held.clear();
  }

  private pixel(event: PointerEvent): [number, number] {
    return pixelAt(event.clientX, event.clientY, this.element.getBoundingClientRect(), this.size());
  }
}
