/** The input of one screen: pointer, keys and texts, as long as the role allows it. */

import { followText } from "../input/text_mode";
import { type TextChannel, TextQueue } from "../input/text_queue";
import type { Connection } from "../shell/connection";
import type { ScreenSession } from "../wire/session";
import { notify } from "./dialog";
import { h } from "./dom";
import { areKeysLocked } from "./full_screen";
import { layoutOf } from "./paste_dialog";
import type { PictureArea } from "./picture_area";
import { ScreenInput } from "./screen_input";
import { say } from "./words";

/** Milliseconds between two looks at the guest's kind of pointer. */
const POINTER_TIME = 2000;

export interface GuestInputOptions {
  readonly connection: Connection;
  readonly machine: string;
  readonly console: number;
  readonly picture: PictureArea;
  /** The open session; null without one. */
  session(): ScreenSession | null;
  /** Commands of the page, by the codes of their keys with Ctrl+Alt. */
  readonly commands: { readonly [code: string]: () => void };
  /** Ctrl+Alt alone: the user wants the page's own controls. */
  released(): void;
}

export class GuestInput {
  readonly textField = h("textarea", {
    class: "text-field",
    "aria-label": say("textField"),
    autocapitalize: "off",
    autocomplete: "off",
    spellcheck: "false",
    hidden: true,
  });
  /** Names the key that releases the pointer, as long as the guest has it. */
  readonly capture = h("div", { class: "capture", role: "status", hidden: true });
  private listeners: ScreenInput | null = null;
  private readonly texts: TextQueue;
  private readonly timer: number;

  constructor(private readonly options: GuestInputOptions) {
    this.texts = new TextQueue(this.textChannel());
    followText(
      this.textField,
      (text) => this.texts.text(text),
      (step) => this.texts.key(step),
    );
    this.timer = window.setInterval(() => void this.askForPointer(), POINTER_TIME);
  }

  close(): void {
    clearInterval(this.timer);
    this.listeners?.close();
  }

  get isAllowed(): boolean {
    return this.listeners !== null;
  }

  /** Listen, or not: a page that only looks has no listeners. */
  allow(isAllowed: boolean): void {
    if (isAllowed === this.isAllowed) return;
    this.forget();
    this.listeners?.close();
    this.listeners = isAllowed ? this.listen() : null;
    this.textField.hidden = !isAllowed;
    this.options.picture.describe(isAllowed);
  }

  /** An answer has arrived: more can be sent. */
  flush(): void {
    this.listeners?.flush();
    this.texts.flush();
  }

  /** The session is another one: what was held there was released by the server. */
  forget(): void {
    this.listeners?.forget();
  }

  /** Drop the texts that wait: the screen is another one. */
  clearTexts(): void {
    this.texts.clear();
  }

  /** Release the pointer: the picture is not live. */
  releasePointer(): void {
    this.listeners?.releasePointer();
  }

  /** Press keys together. */
  chord(codes: readonly string[]): void {
    this.listeners?.keyboard.chord(codes);
  }

  get isTouchpad(): boolean {
    return this.listeners?.gestures.wantsTouchpad ?? false;
  }

  toggleTouchpad(): void {
    if (this.listeners !== null) this.listeners.gestures.wantsTouchpad = !this.isTouchpad;
  }

  private listen(): ScreenInput {
    const { picture } = this.options;
    return new ScreenInput({
      picture: picture.canvas,
      area: picture.element,
      size: () => picture.size,
      channel: () => this.options.session(),
      zoom: (factor, x, y) => picture.zoom(factor, x, y),
      captured: (isCaptured) => this.showCapture(isCaptured),
      commands: this.options.commands,
      released: () => this.options.released(),
    });
  }

  private textChannel(): TextChannel {
    const session = () => this.options.session();
    return {
      type: (text) => this.type(text),
      key: (step) => this.listeners?.send.key(step),
      get isIdle() {
        return (session()?.inputsUnderWay ?? 0) === 0;
      },
    };
  }

  private async type(text: string): Promise<void> {
    const { connection, machine, console } = this.options;
    try {
      await connection.act(machine, "type", { text, layout: layoutOf(machine), console });
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error));
    }
  }

  private async askForPointer(): Promise<void> {
    const { connection, machine, console } = this.options;
    if (!this.isAllowed || document.hidden || this.options.session() === null) return;
    try {
      const found = await connection.act(machine, "input", { console });
      const isAbsolute = (found as { absolute?: boolean }).absolute !== false;
      if (this.listeners !== null) this.listeners.isAbsolute = isAbsolute;
    } catch {
      // The machine may have ended, or the link: the badge says so.
    }
  }

  private showCapture(isCaptured: boolean): void {
    this.capture.textContent = say(areKeysLocked() ? "grabbed" : "captured");
    this.capture.hidden = !isCaptured;
  }
}
