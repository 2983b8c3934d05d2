/** Where the picture is shown and which pixel of the guest is under a point. No DOM. */

export const SCALE_MODES = ["fit", "whole", "exact"] as const;
export type ScaleMode = (typeof SCALE_MODES)[number];

/** Return a mode by its name; the first one for another text. */
export function scaleMode(name: string | null): ScaleMode {
  return SCALE_MODES.find((mode) => mode === name) ?? SCALE_MODES[0];
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Return the size of a picture in CSS pixels.
 *
 * @param ratio Device pixels per CSS pixel. 100 % is one device pixel for one of the guest.
 */
export function shownSize(picture: Size, room: Size, mode: ScaleMode, ratio: number): Size {
  const exact = 1 / ratio;
  const fit = Math.min(room.width / picture.width, room.height / picture.height);
  let factor = fit;
  if (mode === "exact") factor = exact;
  else if (mode === "whole") factor = fit >= exact ? Math.floor(fit / exact + 1e-6) * exact : fit;
  return { width: picture.width * factor, height: picture.height * factor };
}

/** Return the guest's pixel under a point, inside the picture; positions are in CSS pixels. */
export function pixelAt(
  x: number,
  y: number,
  shown: { left: number; top: number; width: number; height: number },
  picture: Size,
): [number, number] {
  const column = Math.floor(((x - shown.left) / shown.width) * picture.width);
  const row = Math.floor(((y - shown.top) / shown.height) * picture.height);
  return [
    Math.min(Math.max(column, 0), picture.width - 1),
    Math.min(Math.max(row, 0), picture.height - 1),
  ];
}
