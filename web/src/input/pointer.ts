/** The mouse: positions at every scale, buttons in order, the wheel in whole notches. */

import { pixelAt, type Size } from "../screen/scale";
import type { PointerAction } from "./outbox";

/** The guest's button of each bit of `PointerEvent.buttons`: left, right, middle, side, extra. */
const BUTTONS = [0, 2, 1, 3, 4];
/** Pixels of a wheel's notch, and lines and pages in pixels. */
const NOTCH = 100;
const LINE = 40;

export class Pointer {
  private held = 0;
  private restX = 0;
  private restY = 0;
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
    else if (document.pointerLockElement === this.element) this.moveBy(event);
    // A second button is reported by a move: only the first press is a pointerdown.
    this.setButtons(event.buttons);
  }

  down(event: PointerEvent): void {
    if (!this.isAbsolute() && document.pointerLockElement !== this.element) {
      // Refused within a second after Esc: another click asks again.
      Promise.resolve(this.element.requestPointerLock()).catch(() => undefined);
      return;
    }
    if (this.isAbsolute()) this.send(["to", ...this.pixel(event)]);
    this.setButtons(event.buttons);
  }

  up(event: PointerEvent): void {
    if (this.isAbsolute()) this.send(["to", ...this.pixel(event)]);
    this.setButtons(event.buttons);
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
    this.setButtons(0);
  }

  /** Send the differences to the buttons that are down in the guest. */
  private setButtons(buttons: number): void {
    // A button that was pressed elsewhere is not pressed in the guest.
    const wanted = document.activeElement === this.element ? buttons : buttons & this.held;
    BUTTONS.forEach((button, bit) => {
      const isDown = ((wanted >> bit) & 1) === 1;
      if (isDown !== (((this.held >> bit) & 1) === 1)) this.send(["button", button, isDown]);
    });
    this.held = wanted & ((1 << BUTTONS.length) - 1);
  }

  /** Move by whole pixels; parts of a pixel wait for the next move. */
  private moveBy(event: PointerEvent): void {
    this.restX += event.movementX;
    this.restY += event.movementY;
    const [x, y] = [Math.trunc(this.restX), Math.trunc(this.restY)];
    this.restX -= x;
    this.restY -= y;
    if (x !== 0 || y !== 0) this.send(["by", x, y]);
  }

  private pixel(event: PointerEvent): [number, number] {
    return pixelAt(event.clientX, event.clientY, this.element.getBoundingClientRect(), this.size());
  }
}
