/** The open screens of a socket: each has a session, and another one after each loss of the link. */

import { frame, MAX_SCREEN } from "../wire/frames";
import type { Picture } from "../wire/picture_stream";
import { ScreenSession, type SessionEvents, type SessionShell } from "../wire/session";
import { openScreen } from "../wire/socket_messages";

interface OpenedScreen {
  readonly machine: string;
  readonly console: number;
  readonly role: "view" | "control";
  readonly events: SessionEvents;
  readonly picture: Picture;
  session: ScreenSession;
}

export class Screens {
  private last = 0;
  private readonly opened = new Map<number, OpenedScreen>();

  /** @param shell Returns the surroundings of a new session. */
  constructor(private readonly shell: () => SessionShell) {}

  /** Add a screen of a machine. Returns its number. `begin` asks for its session. */
  add(
    machine: string,
    console: number,
    role: "view" | "control",
    picture: Picture,
    events: SessionEvents,
  ): number {
    const number = this.freeNumber();
    const session = new ScreenSession(number, picture, events, this.shell());
    this.opened.set(number, { machine, console, role, events, picture, session });
    return number;
  }

  /** Ask the server for the session of a screen. `previous` is the id of the last one, or empty. */
  begin(number: number, previous: string): void {
    const screen = this.opened.get(number);
    if (screen === undefined) return;
    this.shell().send(frame(0, openScreen(number, screen.machine, screen.console)));
    screen.session.begin(screen.role, previous);
  }

  /** Begin new sessions on a new socket. `previous` is the id of the socket before, or empty. */
  beginAll(previous: string): void {
    for (const [number, screen] of this.opened) {
      screen.session = new ScreenSession(number, screen.picture, screen.events, this.shell());
      this.begin(number, previous ? `${previous}.${number}` : "");
    }
  }

  /** The session of an open screen; null for another number. */
  session(number: number): ScreenSession | null {
    return this.opened.get(number)?.session ?? null;
  }

  /** Take a message about a screen. Throws `PeerError` for an invalid one. */
  take(number: number, data: Uint8Array): void {
    this.session(number)?.receive(data);
  }

  close(number: number): void {
    const screen = this.opened.get(number);
    this.opened.delete(number);
    screen?.session.close("the page closed the screen");
  }

  /** The server has closed a screen. */
  closed(number: number, reason: string): void {
    const screen = this.opened.get(number);
    this.opened.delete(number);
    screen?.events.ended(reason);
  }

  /** Acknowledge what was drawn. */
  acknowledge(): void {
    for (const screen of this.opened.values()) screen.session.acknowledge();
  }

  /** The link was lost: the sessions have ended. */
  abandon(): void {
    for (const screen of this.opened.values()) screen.session.abandon();
  }

  private freeNumber(): number {
    do this.last = (this.last % MAX_SCREEN) + 1;
    while (this.opened.has(this.last));
    return this.last;
  }
}
