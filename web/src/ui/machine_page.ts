/** One machine: its picture, its bar, and what stands over the picture when something is amiss. */

import { ScreenCanvas } from "../screen/canvas";
import { CursorShape } from "../screen/cursor";
import type { Decoder } from "../screen/decoder";
import { Recording, saveScreenshot } from "../screen/recording";
import type { ScaleMode } from "../screen/scale";
import type { Connection, LinkReason, LinkState } from "../shell/connection";
import { FULL_RATE, type SessionEvents } from "../wire/session";
import type { Machine, Role } from "../wire/socket_messages";
import { isRemote } from "./actions";
import { Badge } from "./badge";
import { notify } from "./dialog";
import { h } from "./dom";
import { followFullScreen, toggleFullScreen } from "./full_screen";
import { GuestInput } from "./guest_input";
import { showPaste } from "./paste_dialog";
import { PictureArea } from "./picture_area";
import { Toolbar, type ToolbarTarget } from "./toolbar";
import { say } from "./words";

/** The states of a surface, from kju/surface.h. */
const UNAVAILABLE = 3;
const GONE = 5;
/** Milliseconds before a screen that has ended is opened again. */
const REOPEN_TIME = 1000;
/** Milliseconds between two latencies in the bar. */
const LATENCY_TIME = 500;

export class MachinePage implements ToolbarTarget, SessionEvents {
  readonly element: HTMLElement;
  private readonly picture: PictureArea;
  private readonly badge: Badge;
  private readonly toolbar: Toolbar;
  private readonly painter: ScreenCanvas;
  private readonly cursor: CursorShape;
  private readonly input: GuestInput;
  private readonly timers: number[] = [];
  private readonly ends = new AbortController();
  private screen = 0;
  private link: LinkState;
  private linkReason: LinkReason = { code: 0, text: "" };
  private lostAt = 0;
  private latencyDue = 0;
  private problem = "";
  private isComplete = false;
  private known: Machine | undefined;
  private recording: Recording | null = null;

  /**
   * @param back Goes to the wall; null if there is none.
   * @param go Opens another screen of the machine.
   */
  constructor(
    readonly connection: Connection,
    private readonly decoder: Decoder,
    private readonly name: string,
    private readonly console: number,
    readonly back: (() => void) | null,
    private readonly go: (console: number) => void,
  ) {
    this.link = connection.isOpen ? "open" : "connecting";
    this.picture = new PictureArea(name);
    this.painter = new ScreenCanvas(this.picture.canvas, decoder);
    this.cursor = new CursorShape(this.picture.canvas);
    this.input = this.makeInput();
    // Early: the server opens the screen while the rest of the page is made.
    this.open();
    this.badge = new Badge(connection, name, back !== null);
    this.toolbar = new Toolbar(name, this);
    this.element = h(
      "main",
      { class: "page machine" },
      this.toolbar.element,
      h(
        "div",
        { class: "stage" },
        this.picture.element,
        this.badge.element,
        this.input.capture,
        this.input.textField,
      ),
    );
    this.input.allow(connection.role !== "view");
    const options = { signal: this.ends.signal };
    document.addEventListener("visibilitychange", () => this.setRate(), options);
    followFullScreen(this.ends.signal);
    this.timers.push(window.setInterval(() => this.showBadge(), 1000));
  }

  close(): void {
    this.input.close();
    this.recording?.end();
    this.picture.close();
    this.ends.abort();
    for (const timer of this.timers) clearInterval(timer);
    this.connection.closeScreen(this.screen);
    this.element.remove();
  }

  /** Prepare the decoder, unless it has a picture. */
  warmUp(): void {
    if (this.picture.size.width === 0) this.decoder.warmUp();
  }

  /** Give the picture the keyboard. */
  focus(): void {
    this.picture.canvas.focus();
  }

  setMachine(machine: Machine | undefined): void {
    const wasOff = this.known !== undefined && this.known.state === "off";
    this.known = machine;
    this.toolbar.showState(machine, this.role);
    if (wasOff && machine !== undefined && machine.state !== "off") this.open();
    this.showBadge();
  }

  setLink(state: LinkState, reason: LinkReason): void {
    if (state === "lost" && this.link !== "lost") {
      this.lostAt = performance.now();
      this.input.releasePointer();
    }
    if (state === "open" && this.link === "connecting")
      this.input.allow(this.connection.role !== "view");
    if (state === "open" && this.link !== "open") this.input.forget();
    this.link = state;
    this.linkReason = reason;
    this.showBadge();
  }

  // ---- the session's events

  welcomed(role: "view" | "control"): void {
    // The key of the server at another computer may have the role view only.
    this.input.allow(role === "control");
    this.cursor.reset();
    this.toolbar.showState(this.known, this.role);
    this.problem = "";
    this.setRate();
    this.showBadge();
  }

  modeChanged(width: number, height: number): void {
    this.painter.resize(width, height);
    this.picture.resize(width, height);
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
    this.input.flush();
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

  // ---- the bar's questions and actions

  machine(): Machine | undefined {
    return this.known;
  }

  get canControl(): boolean {
    return this.input.isAllowed;
  }

  get scale(): ScaleMode {
    return this.picture.scale;
  }

  setScale(mode: ScaleMode): void {
    this.picture.setScale(mode);
  }

  sendChord(codes: readonly string[]): void {
    this.input.chord(codes);
    this.focus();
  }

  paste(): void {
    void showPaste(this.connection, this.name, this.console);
  }

  toggleFullScreen(): void {
    void toggleFullScreen(this.element, () => this.focus());
  }

  screenshot(): void {
    saveScreenshot(this.picture.canvas, this.name);
  }

  toggleRecording(): boolean {
    if (this.recording !== null) {
      this.recording.end();
      this.recording = null;
      return false;
    }
    this.recording = Recording.begin(this.picture.canvas, this.name);
    if (this.recording === null) notify(say("noRecording"));
    return this.recording !== null;
  }

  typeText(): void {
    this.input.textField.focus();
  }

  get isTouchpad(): boolean {
    return this.input.isTouchpad;
  }

  toggleTouchpad(): void {
    this.input.toggleTouchpad();
  }

  openScreen(console: number): void {
    this.go(console);
  }

  // ---- parts

  private get role(): Role {
    if (!this.canControl) return "view";
    return this.known !== undefined && isRemote(this.known) ? "control" : this.connection.role;
  }

  private open(): void {
    if (this.screen !== 0) this.connection.closeScreen(this.screen);
    this.isComplete = false;
    // The server knows better, and its welcome says which role it is.
    const role = "control";
    this.screen = this.connection.openScreen(this.name, this.console, role, this.decoder, this);
    this.input.forget();
    this.input.clearTexts();
  }

  private reopen(): void {
    const isOn = this.known !== undefined && this.known.state !== "off";
    if (this.screen === 0 && isOn && this.link === "open" && this.element.isConnected) this.open();
  }

  private setRate(): void {
    // A hidden page needs no pictures.
    this.connection.session(this.screen)?.setRate(document.hidden ? 0 : FULL_RATE);
  }

  private makeInput(): GuestInput {
    return new GuestInput({
      connection: this.connection,
      machine: this.name,
      console: this.console,
      picture: this.picture,
      session: () => this.connection.session(this.screen),
      commands: {
        KeyF: () => this.toggleFullScreen(),
        KeyM: () => this.toolbar.openMenu(),
        KeyR: () => this.toolbar.record(),
        KeyS: () => this.screenshot(),
        KeyV: () => this.paste(),
      },
      released: () => this.toolbar.focus(),
    });
  }

  private showBadge(): void {
    const isStale = this.badge.show({
      link: this.link,
      linkReason: this.linkReason,
      lostAt: this.lostAt,
      machine: this.known,
      problem: this.problem,
      isComplete: this.isComplete,
    });
    this.element.classList.toggle("stale", isStale);
  }
}
