/** Draws a screen's pixels on a canvas as soon as they arrive. */

import type { Rects } from "../wire/picture_stream";
import type { Decoder } from "./decoder";

/** Above so many rectangles one call for the area around them all is cheaper. */
const MAX_RECTS = 64;

export class ScreenCanvas {
  private readonly context: CanvasRenderingContext2D;

  constructor(
    readonly element: HTMLCanvasElement,
    private readonly decoder: Decoder,
  ) {
    // No `desynchronized`: it makes some browsers show half-drawn pictures.
    const context = element.getContext("2d", { alpha: false });
    if (context === null) throw new Error("this browser has no canvas");
    this.context = context;
  }

  resize(width: number, height: number): void {
    this.element.width = width;
    this.element.height = height;
  }

  draw(rects: Rects): void {
    if (rects.length === 0) return;
    const pixels = this.decoder.pixels();
    if (rects.length > 4 * MAX_RECTS) {
      const [x, y, width, height] = around(rects);
      this.context.putImageData(pixels, 0, 0, x, y, width, height);
      return;
    }
    for (let i = 0; i < rects.length; i += 4) {
      const [x = 0, y = 0, width = 0, height = 0] = rects.subarray(i, i + 4);
      this.context.putImageData(pixels, 0, 0, x, y, width, height);
    }
  }
}

function around(rects: Rects): [number, number, number, number] {
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  for (let i = 0; i < rects.length; i += 4) {
    const [x = 0, y = 0, width = 0, height = 0] = rects.subarray(i, i + 4);
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + width);
    bottom = Math.max(bottom, y + height);
  }
  return [left, top, right - left, bottom - top];
}
