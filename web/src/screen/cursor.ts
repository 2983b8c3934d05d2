/** The guest's cursor, shown by the browser at the pointer's own place: it never lags. */

import type { Cursor } from "../wire/picture_stream";

export class CursorShape {
  private url = "";
  private hot = "0 0";

  constructor(private readonly element: HTMLElement) {}

  /** Show the browser's arrow, until the guest's cursor is known. */
  reset(): void {
    this.url = "";
    this.element.style.cursor = "";
  }

  /** Show a cursor of the guest. Without one the browser's arrow is shown. */
  show(cursor: Cursor): void {
    if (cursor.shape !== null && cursor.width > 0 && cursor.height > 0) {
      this.url = draw(cursor.shape, cursor.width, cursor.height);
      this.hot = `${cursor.hotX} ${cursor.hotY}`;
    }
    // Browsers ignore a cursor of more than 128 pixels.
    const usable = this.url && cursor.width <= 128 && cursor.height <= 128;
    this.element.style.cursor =
      cursor.visible && usable ? `url(${this.url}) ${this.hot}, default` : "default";
  }
}

function draw(shape: Uint8Array, width: number, height: number): string {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) return "";
  const image = context.createImageData(width, height);
  for (let i = 0; i < image.data.length; i += 4) {
    image.data[i] = shape[i + 2] ?? 0;
    image.data[i + 1] = shape[i + 1] ?? 0;
    image.data[i + 2] = shape[i] ?? 0;
    image.data[i + 3] = shape[i + 3] ?? 0;
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}
