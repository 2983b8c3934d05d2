/** The listeners of a picture that the page controls. A page that only looks has none of them. */

import { Gestures } from "../input/gestures";
import { Keyboard } from "../input/keyboard";
import { type InputChannel, Outbox, type PointerAction } from "../input/outbox";
import { Pointer } from "../input/pointer";
import { ReleaseKey } from "../input/release_key";
import { pixelAt, type Size } from "../screen/scale";

export interface ScreenInputOptions {
  readonly picture: HTMLCanvasElement;
  /** The scrolled area around the picture. */
  readonly area: HTMLElement;
  size(): Size;
  channel(): InputChannel | null;
  zoom(factor: number, x: number, y: number): void;
  /** The guest has captured the pointer, or released it. */
  captured(isCaptured: boolean): void;
  /** Commands of the page, by the codes of their keys with Ctrl+Alt. */
  readonly commands: { readonly [code: string]: () => void };
  /** Ctrl+Alt alone: the user wants the page's own controls. */
  released(): void;
}

const isMac = /mac/i.test(navigator.platform);

export class ScreenInput {
  readonly keyboard: Keyboard;
  readonly gestures: Gestures;
  isAbsolute = true;
  private readonly pointer: Pointer;
  private readonly outbox: Outbox;
  private readonly releaseKey: ReleaseKey;
  private readonly ends = new AbortController();
  private readonly timer: number;

  constructor(private readonly options: ScreenInputOptions) {
    const { picture } = options;
    this.outbox = new Outbox({
      get canSend() {
        return options.channel()?.canSend ?? false;
      },
      get inputsUnderWay() {
        return options.channel()?.inputsUnderWay ?? 0;
      },
      sendInput: (body) => options.channel()?.sendInput(body),
    });
    const send = (action: PointerAction) => this.outbox.pointer(action);
    this.keyboard = new Keyboard((step) => this.outbox.key(step), isMac);
    this.pointer = new Pointer(picture, options.size, () => this.isAbsolute, send);
    const isAbsolute = () => this.isAbsolute;
    this.gestures = new Gestures(
      {
        get isAbsolute() {
          return isAbsolute();
        },
        pixel: (x, y) => pixelAt(x, y, picture.getBoundingClientRect(), options.size()),
        size: options.size,
        send,
        zoom: options.zoom,
        pan: (dx, dy) => this.pan(dx, dy),
      },
      () => performance.now(),
    );
    this.releaseKey = new ReleaseKey(options.commands, () => {
      this.releaseAll();
      this.releasePointer();
      options.released();
    });
    this.timer = window.setInterval(() => this.gestures.tick(), 100);
    this.listen();
  }

  /** An answer has arrived: more can be sent. */
  flush(): void {
    this.outbox.flush();
  }

  /** Type with keys beside the picture's own. */
  get send(): Outbox {
    return this.outbox;
  }

  /** Release all keys and buttons. */
  releaseAll(): void {
    this.keyboard.releaseAll();
    this.pointer.releaseAll();
    this.gestures.clear();
    this.releaseKey.clear();
  }

  /** The session is another one: what was held there was released by the server. */
  forget(): void {
    this.outbox.clear();
    this.releaseAll();
    this.outbox.clear();
  }

  /** Release the pointer: the picture is not live. */
  releasePointer(): void {
    if (document.pointerLockElement === this.options.picture) document.exitPointerLock();
  }

  close(): void {
    this.releasePointer();
    this.releaseAll();
    clearInterval(this.timer);
    this.ends.abort();
  }

  private pan(dx: number, dy: number): boolean {
    const { area } = this.options;
    const isZoomed = area.scrollWidth > area.clientWidth || area.scrollHeight > area.clientHeight;
    if (isZoomed) area.scrollBy(-dx, -dy);
    return isZoomed;
  }

  private listen(): void {
    const { picture } = this.options;
    const options = { signal: this.ends.signal };
    picture.addEventListener("keydown", (event) => this.keyDown(event), options);
    picture.addEventListener("keyup", (event) => this.keyUp(event), options);
    picture.addEventListener("pointermove", (event) => this.pointerMoved(event), options);
    picture.addEventListener("pointerdown", (event) => this.pointerDown(event), options);
    picture.addEventListener("pointerup", (event) => this.pointerUp(event), options);
    picture.addEventListener("pointercancel", (event) => this.cancelled(event), options);
    picture.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    picture.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.pointer.wheel(event);
      },
      { ...options, passive: false },
    );
    document.addEventListener(
      "pointerlockchange",
      () => this.options.captured(document.pointerLockElement === picture),
      options,
    );
    picture.addEventListener("blur", () => this.releaseAll(), options);
    window.addEventListener("blur", () => this.releaseAll(), options);
    window.addEventListener("pagehide", () => this.releaseAll(), options);
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) this.releaseAll();
      },
      options,
    );
  }

  private keyDown(event: KeyboardEvent): void {
    if (event.isComposing || event.repeat) {
      event.preventDefault();
      return;
    }
    const command = this.releaseKey.down(event.code);
    if (command !== null) {
      event.preventDefault();
      this.releaseAll();
      command();
    } else if (this.keyboard.down(event)) event.preventDefault();
  }

  private keyUp(event: KeyboardEvent): void {
    if (this.keyboard.up(event)) event.preventDefault();
    this.releaseKey.up(event.code);
  }

  private pointerMoved(event: PointerEvent): void {
    if (event.pointerType === "mouse") this.keyboard.releaseStuck(event);
    if (event.pointerType === "touch") this.gestures.move(touch(event));
    else this.pointer.move(event);
  }

  private pointerDown(event: PointerEvent): void {
    event.preventDefault();
    if (event.pointerType === "mouse") this.keyboard.releaseStuck(event);
    this.releaseKey.clear();
    // A finger leaves the focus in the text field: a phone would hide its keyboard.
    const isTyping = document.activeElement instanceof HTMLTextAreaElement;
    if (event.pointerType !== "touch" || !isTyping) this.options.picture.focus();
    this.options.picture.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.gestures.down(touch(event));
    else this.pointer.down(event);
  }

  private cancelled(event: PointerEvent): void {
    if (event.pointerType === "touch") this.gestures.cancel(event.pointerId);
    else this.pointer.releaseAll();
  }

  private pointerUp(event: PointerEvent): void {
    if (event.pointerType === "touch") this.gestures.up(touch(event));
    else this.pointer.up(event);
  }
}

function touch(event: PointerEvent): { id: number; x: number; y: number } {
  return { id: event.pointerId, x: event.clientX, y: event.clientY };
}
