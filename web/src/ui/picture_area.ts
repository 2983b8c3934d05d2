/** The guest's picture in the page: its canvas, its size, and the scrolled area around it. */

import { type ScaleMode, type Size, scaleMode, shownSize } from "../screen/scale";
import { h } from "./dom";
import { readSetting, writeSetting } from "./settings";
import { say } from "./words";

/** How far fingers can enlarge the picture. */
const MAX_ZOOM = 8;

export class PictureArea {
  readonly canvas = h("canvas", { class: "picture", tabindex: "0" });
  readonly element = h("div", { class: "area" }, this.canvas);
  scale: ScaleMode;
  /** The guest's pixels. */
  size: Size = { width: 0, height: 0 };
  private zoomed = 1;
  private readonly observer = new ResizeObserver(() => this.layOut());

  constructor(private readonly machine: string) {
    this.scale = scaleMode(readSetting(`scale-${machine}`));
    this.canvas.setAttribute("aria-label", say("picture", { name: machine }));
    this.describe(false);
    this.observer.observe(this.element);
  }

  close(): void {
    this.observer.disconnect();
  }

  /** Say to screen readers whether the picture takes input. */
  describe(takesInput: boolean): void {
    // An application: a screen reader passes its keys on.
    this.canvas.setAttribute("role", takesInput ? "application" : "img");
    if (takesInput) this.canvas.setAttribute("aria-description", say("releaseKey"));
    else this.canvas.removeAttribute("aria-description");
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    this.layOut();
  }

  setScale(mode: ScaleMode): void {
    this.scale = mode;
    this.zoomed = 1;
    writeSetting(`scale-${this.machine}`, mode);
    this.layOut();
  }

  /** Enlarge the picture; the point, in the window, stays where it is. */
  zoom(factor: number, x: number, y: number): void {
    const before = this.canvas.getBoundingClientRect();
    const [column, row] = [(x - before.left) / before.width, (y - before.top) / before.height];
    this.zoomed = Math.min(Math.max(this.zoomed * factor, 1), MAX_ZOOM);
    this.layOut();
    const after = this.canvas.getBoundingClientRect();
    const [left, top] = [after.left + column * after.width, after.top + row * after.height];
    this.element.scrollBy(left - x, top - y);
  }

  private layOut(): void {
    if (this.size.width === 0) return;
    const room = { width: this.element.clientWidth, height: this.element.clientHeight };
    const ratio = window.devicePixelRatio;
    const { width, height } = shownSize(this.size, room, this.scale, ratio);
    this.canvas.style.width = `${width * this.zoomed}px`;
    this.canvas.style.height = `${height * this.zoomed}px`;
    const factor = ((width * this.zoomed) / this.size.width) * ratio;
    this.canvas.classList.toggle("sharp", Math.abs(factor - Math.round(factor)) < 1e-3);
  }
}
