/** One machine: its picture, its bar, and what stands over the picture when something is amiss. */

import { followText } from "../input/text_mode";
import { type TextChannel, TextQueue } from "../input/text_queue";
import { ScreenCanvas } from "../screen/canvas";
import { CursorShape } from "../screen/cursor";
import { Decoder } from "../screen/decoder";
import { Recording, saveScreenshot } from "../screen/recording";
import { type ScaleMode, type Size, scaleMode, shownSize } from "../screen/scale";
import type { Connection, LinkReason, LinkState } from "../shell/connection";
import type { Machine, Role } from "../wire/socket_messages";
import { FULL_RATE, type SessionEvents } from "../wire/session";
import { actionsOn, carryOut, isRemote } from "./actions";
import { notify } from "./dialog";
import { h } from "./dom";
import { staleText, wordsOf } from "./link";
import { layoutOf, showPaste } from "./paste_dialog";
import { ScreenInput } from "./screen_input";
import { readSetting, writeSetting } from "./settings";
import { Toolbar, type ToolbarTarget } from "./toolbar";
import { say } from "./words";

/** Chromium's: gives the page in full screen the keys of the browser and the desktop. */
const { keyboard } = navigator as { keyboard?: { lock(): Promise<void>; unlock(): void } };
/** The states of a surface, from kju/surface.h. */
const UNAVAILABLE = 3;
const GONE = 5;
/** Milliseconds between two looks at the guest's kind of pointer. */
const POINTER_TIME = 2000;
/** Milliseconds before a screen that has ended is opened again. */
const REOPEN_TIME = 1000;
/** Milliseconds between two latencies in the bar. */
const LATENCY_TIME = 500;

export class MachinePage implements ToolbarTarget, SessionEvents {
  readonly element: HTMLElement;
  readonly canControl: boolean;
  scale: ScaleMode;
  private readonly canvas = h("canvas", { class: "picture", tabindex: "0" });
  private readonly area = h("div", { class: "area" }, this.canvas);
  private readonly badge = h("div", { class: "badge", role: "status" });
  private readonly textField = h("textarea", {
    class: "text-field",
    "aria-label": say("textField"),
    autocapitalize: "off",
    autocomplete: "off",
    spellcheck: "false",
  });
  /** Names the key that releases the pointer, as long as the guest has it. */
  private readonly capture = h("div", { class: "capture", role: "status", hidden: true });
  private readonly toolbar: Toolbar;
  private readonly decoder: Decoder;
  private readonly painter: ScreenCanvas;
  private readonly cursor: CursorShape;
  private readonly input: ScreenInput | null;
  private readonly timers: number[] = [];
  private readonly observer = new ResizeObserver(() => this.layOut());
  private readonly ends = new AbortController();
  private size: Size = { width: 0, height: 0 };
  private zoomed = 1;
  private screen = 0;
  private link: LinkState = "open";
  private linkReason: LinkReason = { code: 0, text: "" };
  private lostAt = 0;
  private latencyDue = 0;
  private problem = "";
  private isComplete = false;
  private known: Machine | undefined;
  private recording: Recording | null = null;
  private readonly texts: TextQueue;
  private granted: "view" | "control" = "control";

  /**
   * @param back Goes to the wall; null if there is none.
   * @param go Opens another screen of the machine.
   */
  constructor(
    readonly connection: Connection,
    module: WebAssembly.Module,
    private readonly name: string,
    private readonly console: number,
    readonly back: (() => void) | null,
    private readonly go: (console: number) => void,
  ) {
    this.canControl = connection.role !== "view";
    this.scale = scaleMode(readSetting(`scale-${name}`));
    this.canvas.setAttribute("aria-label", say("picture", { name }));
    // An application: a screen reader passes its keys on.
    this.canvas.setAttribute("role", this.canControl ? "application" : "img");
    if (this.canControl) this.canvas.setAttribute("aria-description", say("releaseKey"));
    this.decoder = new Decoder(module);
    this.painter = new ScreenCanvas(this.canvas, this.decoder);
    this.cursor = new CursorShape(this.canvas);
    this.toolbar = new Toolbar(name, this);
    this.element = h(
      "main",
      { class: "page machine" },
      this.toolbar.element,
      h(
        "div",
        { class: "stage" },
        this.area,
        this.badge,
        this.capture,
        this.canControl && this.textField,
      ),
    );
    this.texts = new TextQueue(this.textChannel());
    this.input = this.canControl ? this.listen() : null;
    this.observer.observe(this.area);
    const options = { signal: this.ends.signal };
    document.addEventListener("visibilitychange", () => this.setRate(), options);
    document.addEventListener("fullscreenchange", () => this.fullScreenChanged(), options);
    this.timers.push(window.setInterval(() => this.showBadge(), 1000));
    this.open();
  }

  close(): void {
    this.input?.close();
    this.recording?.end();
    this.observer.disconnect();
    this.ends.abort();
    for (const timer of this.timers) clearInterval(timer);
    this.connection.closeScreen(this.screen);
    this.element.remove();
  }

  /** Give the picture the keyboard. */
  focus(): void {
    this.canvas.focus();
  }

  machine(): Machine | undefined {
    return this.known;
  }

  setMachine(machine: Machine | undefined): void {
    const wasOff = this.known !== undefined && this.known.state === "off";
    this.known = machine;
    this.toolbar.showState(machine, this.role);
    if (wasOff && machine !== undefined && machine.state !== "off") this.open();
    this.showBadge();
  }

  setLink(state: LinkState, reason: LinkReason): void {
    if (state !== "open" && this.link === "open") {
      this.lostAt = performance.now();
      this.input?.releasePointer();
    }
    if (state === "open" && this.link !== "open") this.input?.forget();
    this.link = state;
    this.linkReason = reason;
    this.showBadge();
  }

  // ---- the session's events

  welcomed(role: "view" | "control"): void {
    // The key of the server at another computer may have the role view only.
    this.granted = role;
    this.toolbar.showState(this.known, this.role);
    this.problem = "";
    this.setRate();
    this.showBadge();
  }

  modeChanged(width: number, height: number): void {
    this.size = { width, height };
    this.painter.resize(width, height);
    this.layOut();
  }

  drawn(rects: Uint32Array): void {
    this.painter.draw(rects);
  }

  completed(): void {
    this.isComplete = true;
    this.showBadge();
  }

  cursorChanged(cursor: Parameters<SessionEvents["cursorChanged"]>[0]): void {
    if (this.canControl) this.cursor.show(cursor);
  }

  stateChanged(state: number, reason: string): void {
    this.problem = state === UNAVAILABLE ? say("noPicture", { reason }) : "";
    if (state >= GONE) this.problem = say("screenEnded", { reason });
    this.showBadge();
  }

  answered(error: string, reason: string): void {
    if (error) notify(reason || error);
    this.input?.flush();
    this.texts.flush();
  }

  reacted(milliseconds: number): void {
    // Another text lays the bar out again, which would take longer than to draw a letter.
    const now = performance.now();
    if (now < this.latencyDue) return;
    this.latencyDue = now + LATENCY_TIME;
    this.toolbar.showLatency(milliseconds);
  }

  ended(reason: string): void {
    this.connection.closeScreen(this.screen);
    this.screen = 0;
    this.problem = say("screenEnded", { reason });
    this.showBadge();
    // Such as a surface that another one has replaced.
    this.timers.push(window.setTimeout(() => this.reopen(), REOPEN_TIME));
  }

  // ---- the bar's actions

  setScale(mode: ScaleMode): void {
    this.scale = mode;
    this.zoomed = 1;
    writeSetting(`scale-${this.name}`, mode);
    this.layOut();
  }

  sendChord(codes: readonly string[]): void {
    this.input?.keyboard.chord(codes);
    this.canvas.focus();
  }

  paste(): void {
    void showPaste(this.connection, this.name, this.console);
  }

  toggleFullScreen(): void {
    if (document.fullscreenElement !== null) {
      void document.exitFullscreen();
      return;
    }
    this.enterFullScreen().catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      notify(say("failed", { action: say("fullScreen"), reason }));
    });
  }

  private async enterFullScreen(): Promise<void> {
    await this.element.requestFullscreen();
    this.canvas.focus();
    // With it the guest gets Alt+Tab and the like; Esc, held down, leaves.
    if (keyboard === undefined) return;
    await keyboard.lock();
    notify(say("grabbed"));
  }

  private fullScreenChanged(): void {
    if (document.fullscreenElement === null) keyboard?.unlock();
  }

  screenshot(): void {
    saveScreenshot(this.canvas, this.name);
  }

  toggleRecording(): boolean {
    if (this.recording !== null) {
      this.recording.end();
      this.recording = null;
      return false;
    }
    this.recording = Recording.begin(this.canvas, this.name);
    if (this.recording === null) notify(say("noRecording"));
    return this.recording !== null;
  }

  typeText(): void {
    this.textField.focus();
  }

  get isTouchpad(): boolean {
    return this.input?.gestures.wantsTouchpad ?? false;
  }

  toggleTouchpad(): void {
    if (this.input !== null) this.input.gestures.wantsTouchpad = !this.isTouchpad;
  }

  openScreen(console: number): void {
    this.go(console);
  }

  // ---- parts

  private get role(): Role {
    if (this.granted === "view") return "view";
    return this.known !== undefined && isRemote(this.known) ? "control" : this.connection.role;
  }

  private open(): void {
    if (this.screen !== 0) this.connection.closeScreen(this.screen);
    this.isComplete = false;
    const role = this.canControl ? "control" : "view";
    this.screen = this.connection.openScreen(this.name, this.console, role, this.decoder, this);
    this.input?.forget();
    this.texts.clear();
  }

  private reopen(): void {
    const isOn = this.known !== undefined && this.known.state !== "off";
    if (this.screen === 0 && isOn && this.link === "open" && this.element.isConnected) this.open();
  }

  private setRate(): void {
    // A hidden page needs no pictures.
    this.connection.session(this.screen)?.setRate(document.hidden ? 0 : FULL_RATE);
  }

  private textChannel(): TextChannel {
    const session = () => this.connection.session(this.screen);
    return {
      type: (text) => this.type(text),
      key: (step) => this.input?.send.key(step),
      get isIdle() {
        return (session()?.inputsUnderWay ?? 0) === 0;
      },
    };
  }

  private listen(): ScreenInput {
    const made = new ScreenInput({
      picture: this.canvas,
      area: this.area,
      size: () => this.size,
      channel: () => this.connection.session(this.screen),
      zoom: (factor, x, y) => this.zoom(factor, x, y),
      captured: (isCaptured) => this.showCapture(isCaptured),
      commands: {
        KeyF: () => this.toggleFullScreen(),
        KeyM: () => this.toolbar.openMenu(),
        KeyR: () => this.toolbar.record(),
        KeyS: () => this.screenshot(),
        KeyV: () => this.paste(),
      },
      released: () => this.toolbar.focus(),
    });
    followText(
      this.textField,
      (text) => this.texts.text(text),
      (step) => this.texts.key(step),
    );
    const ask = async () => {
      if (this.link !== "open" || document.hidden || this.screen === 0) return;
      try {
        const found = await this.connection.act(this.name, "input", { console: this.console });
        made.isAbsolute = (found as { absolute?: boolean }).absolute !== false;
      } catch {
        // The machine may have ended; its state says so.
      }
    };
    this.timers.push(window.setInterval(ask, POINTER_TIME));
    void ask();
    return made;
  }

  private showCapture(isCaptured: boolean): void {
    // With the keyboard lock of full screen, only a long press of Esc reaches the browser.
    const isLocked = document.fullscreenElement !== null && keyboard !== undefined;
    this.capture.textContent = say(isLocked ? "grabbed" : "captured");
    this.capture.hidden = !isCaptured;
  }

  private async type(text: string): Promise<void> {
    const args = { text, layout: layoutOf(this.name), console: this.console };
    try {
      await this.connection.act(this.name, "type", args);
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error));
    }
  }

  private zoom(factor: number, x: number, y: number): void {
    const before = this.canvas.getBoundingClientRect();
    const [column, row] = [(x - before.left) / before.width, (y - before.top) / before.height];
    this.zoomed = Math.min(Math.max(this.zoomed * factor, 1), 8);
    this.layOut();
    const after = this.canvas.getBoundingClientRect();
    this.area.scrollBy(after.left + column * after.width - x, after.top + row * after.height - y);
  }

  private layOut(): void {
    if (this.size.width === 0) return;
    const room = { width: this.area.clientWidth, height: this.area.clientHeight };
    const ratio = window.devicePixelRatio;
    const { width, height } = shownSize(this.size, room, this.scale, ratio);
    this.canvas.style.width = `${width * this.zoomed}px`;
    this.canvas.style.height = `${height * this.zoomed}px`;
    const factor = ((width * this.zoomed) / this.size.width) * ratio;
    this.canvas.classList.toggle("sharp", Math.abs(factor - Math.round(factor)) < 1e-3);
  }

  private showBadge(): void {
    const parts: (Node | string)[] = [];
    const isOff = this.known !== undefined && this.known.state === "off";
    const isStale = this.link === "lost" || this.link === "connecting";
    if (this.link === "ended") {
      parts.push(wordsOf(this.linkReason));
      const again = () => location.reload();
      if (this.back) parts.push(h("button", { type: "button", onclick: again }, say("newLink")));
    } else if (isStale) {
      const retry = () => this.connection.retry();
      parts.push(staleText(this.lostAt, this.linkReason));
      parts.push(h("button", { type: "button", onclick: retry }, say("retry")));
    } else if (isOff) {
      parts.push(say("isOff", { name: this.name }));
      const { known } = this;
      if (known !== undefined)
        for (const action of actionsOn(known, this.connection.role))
          parts.push(
            h(
              "button",
              { type: "button", onclick: () => carryOut(this.connection, known, action) },
              say(action.word),
            ),
          );
    } else if (this.problem) parts.push(this.problem);
    else if (!this.isComplete) parts.push(say("waiting"));
    else if (this.known?.state === "paused") parts.push(say("paused"));
    const shown = parts.map((part) => (typeof part === "string" ? part : part.textContent)).join();
    this.element.classList.toggle("stale", isStale || this.link === "ended" || isOff);
    if (this.badge.dataset.shown === shown) return;
    this.badge.dataset.shown = shown;
    this.badge.replaceChildren(...parts);
    this.badge.hidden = parts.length === 0;
  }
}
