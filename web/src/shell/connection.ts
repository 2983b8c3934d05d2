/** The WebSocket to the server: screens, machines, actions, small pictures, and its return. */

import { oneLine } from "../wire/escaping";
import * as messages from "../wire/messages";
import { PeerError } from "../wire/msgpack";
import {
  type PhotoDecoder,
  type Picture,
  ScreenSession,
  type SessionEvents,
} from "../wire/session";
import { BASE } from "./place";
import { WorkQueue } from "./work";

/** Milliseconds before the first attempt to connect again, and the longest pause. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;
/** Close codes of the server: see docs/reference/wire.md. */
const SESSION_ENDED = 1008;
/** The page's own, for a server whose message is not valid. */
const INVALID = 4002;

/** Why the link is not open: the close code, and the text of the server or of this page. */
export interface LinkReason {
  readonly code: number;
  readonly text: string;
}

const NO_REASON: LinkReason = { code: 0, text: "" };

export type LinkState = "connecting" | "open" | "lost" | "ended";

export interface SmallPicture {
  readonly machine: string;
  readonly version: number;
  readonly screenWidth: number;
  readonly screenHeight: number;
  readonly data: Uint8Array;
}

export interface ConnectionEvents {
  linkChanged(state: LinkState, reason: LinkReason): void;
  machinesChanged(machines: readonly messages.Machine[]): void;
  pictureArrived(picture: SmallPicture): void;
}

/** The server refused an action. */
export class ActionError extends Error {
  constructor(
    readonly kind: string,
    reason: string,
  ) {
    super(reason);
  }
}

interface PendingAction {
  resolve(data: unknown): void;
  reject(error: Error): void;
  progress(done: number, total: number): void;
}

interface OpenedScreen {
  readonly machine: string;
  readonly console: number;
  readonly role: "view" | "control";
  readonly events: SessionEvents;
  readonly picture: Picture;
  session: ScreenSession;
}

export class Connection {
  role: messages.Role = "view";
  server = "";
  private socket: WebSocket | null = null;
  private socketId = "";
  private isOpen = false;
  private reason = NO_REASON;
  /** What the server said before it closes the socket. */
  private goodbye = "";
  private pause = FIRST_PAUSE;
  private timer = 0;
  private lastScreen = 0;
  private lastAction = 0;
  private wallNames: readonly string[] = [];
  private readonly screens = new Map<number, OpenedScreen>();
  private readonly actions = new Map<number, PendingAction>();
  private readonly work = new WorkQueue<Uint8Array>(
    (bytes) => this.take(bytes),
    () => {
      for (const screen of this.screens.values()) screen.session.acknowledge();
    },
  );

  /**
   * @param token The token of an embedded page; empty with a cookie.
   * @param build The version of this page's files.
   * @param photos Returns the decoder of photos, for each new session.
   */
  constructor(
    private readonly events: ConnectionEvents,
    private readonly token: string,
    private readonly build: string,
    private readonly photos: () => PhotoDecoder | null,
  ) {}

  /** Connect, and again after each loss. */
  open(): void {
    this.events.linkChanged(this.socketId ? "lost" : "connecting", this.reason);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${BASE}socket`, messages.SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let isAccepted = false;
    socket.onopen = () => {
      isAccepted = true;
      if (this.token) this.send(messages.frame(0, messages.authenticate(this.token)));
    };
    socket.onmessage = (event) => {
      if (event.data instanceof ArrayBuffer) this.work.add(new Uint8Array(event.data));
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (!isAccepted) void this.reloadIfReplaced();
      this.lose({ code: event.code, text: oneLine(event.reason) || this.goodbye });
    };
  }

  /**
   * Reload, if the server has a page of another version: it refuses the subprotocol of an older one,
   * and a browser does not tell a page why.
   */
  private async reloadIfReplaced(): Promise<void> {
    try {
      const response = await fetch(BASE, { cache: "no-store" });
      const found = /data-build="(\w+)"/.exec(await response.text())?.[1];
      if (found !== undefined && this.build && found !== this.build) location.reload();
    } catch {
      // There is no server now.
    }
  }

  /** Try again now, if the link is lost. */
  retry(): void {
    if (this.socket !== null) return;
    clearTimeout(this.timer);
    this.open();
  }

  /** Open a screen of a machine. Returns its number. */
  openScreen(
    machine: string,
    console: number,
    role: "view" | "control",
    picture: Picture,
    events: SessionEvents,
  ): number {
    const number = this.freeNumber();
    const session = this.newSession(number, picture, events);
    const screen = { machine, console, role, events, picture, session };
    this.screens.set(number, screen);
    if (this.isOpen) this.begin(number, screen, "");
    return number;
  }

  /** The session of an open screen: another one after each loss of the link. */
  session(number: number): ScreenSession | null {
    return this.screens.get(number)?.session ?? null;
  }

  closeScreen(number: number): void {
    const screen = this.screens.get(number);
    this.screens.delete(number);
    screen?.session.close("the page closed the screen");
  }

  /** The machines whose small pictures are in view. */
  setWall(names: readonly string[]): void {
    if (names.join("\n") === this.wallNames.join("\n")) return;
    this.wallNames = names;
    if (this.isOpen) this.send(messages.frame(0, messages.wall(names)));
  }

  /** Carry out an action. Rejects with `ActionError`. */
  act(
    machine: string,
    action: string,
    args: { readonly [name: string]: string | number | boolean | null } = {},
    progress: (done: number, total: number) => void = () => {},
    signal?: AbortSignal,
  ): Promise<unknown> {
    const number = ++this.lastAction;
    return new Promise((resolve, reject) => {
      if (!this.isOpen) {
        reject(new ActionError("LinkError", "there is no connection to the server"));
        return;
      }
      this.actions.set(number, { resolve, reject, progress });
      this.send(messages.frame(0, messages.act(number, machine, action, args)));
      signal?.addEventListener("abort", () => {
        if (this.actions.has(number)) this.send(messages.frame(0, messages.cancel(number)));
      });
    });
  }

  private freeNumber(): number {
    do this.lastScreen = (this.lastScreen % messages.MAX_SCREEN) + 1;
    while (this.screens.has(this.lastScreen));
    return this.lastScreen;
  }

  private newSession(number: number, picture: Picture, events: SessionEvents): ScreenSession {
    return new ScreenSession(number, picture, events, {
      send: (bytes) => this.send(bytes),
      now: () => performance.now(),
      photos: this.photos(),
      failed: (error) => this.fail(error),
    });
  }

  private begin(number: number, screen: OpenedScreen, previous: string): void {
    this.send(messages.frame(0, messages.openScreen(number, screen.machine, screen.console)));
    screen.session.begin(screen.role, previous);
  }

  private send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  private take(bytes: Uint8Array): void {
    try {
      const [number, data] = messages.splitFrame(bytes);
      if (number === 0) this.takeOwn(messages.decodeServerMessage(data));
      else this.screens.get(number)?.session.receive(data);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.fail(error);
    }
  }

  /** The server has sent something that is not valid. */
  private fail(error: PeerError): void {
    this.socket?.close(INVALID, "invalid message");
    this.lose({ code: INVALID, text: error.message });
  }

  private takeOwn(message: messages.ServerMessage): void {
    switch (message.type) {
      case "socket-hello":
        if (this.build && message.build !== this.build) {
          location.reload();
          return;
        }
        this.welcome(message);
        break;
      case "machines":
        this.events.machinesChanged(message.machines);
        break;
      case "closed": {
        const screen = this.screens.get(message.screen);
        this.screens.delete(message.screen);
        screen?.events.ended(message.reason);
        break;
      }
      case "result": {
        const action = this.actions.get(message.number);
        this.actions.delete(message.number);
        if (message.error) action?.reject(new ActionError(message.error, message.reason));
        else action?.resolve(message.data);
        break;
      }
      case "progress":
        this.actions.get(message.number)?.progress(message.done, message.total);
        break;
      case "picture":
        this.events.pictureArrived(message);
        break;
      case "goodbye":
        this.goodbye = message.reason;
        break;
    }
  }

  private welcome(hello: messages.ServerMessage & { type: "socket-hello" }): void {
    const before = this.socketId;
    this.role = hello.role;
    this.server = hello.server;
    this.socketId = hello.socket;
    this.isOpen = true;
    this.pause = FIRST_PAUSE;
    this.reason = NO_REASON;
    this.events.linkChanged("open", this.reason);
    for (const [number, screen] of this.screens) {
      screen.session = this.newSession(number, screen.picture, screen.events);
      this.begin(number, screen, before ? `${before}.${number}` : "");
    }
    if (this.wallNames.length > 0) this.send(messages.frame(0, messages.wall(this.wallNames)));
  }

  private lose(reason: LinkReason): void {
    this.socket = null;
    this.reason = reason;
    this.goodbye = "";
    this.isOpen = false;
    this.work.clear();
    for (const screen of this.screens.values()) screen.session.abandon();
    for (const action of this.actions.values())
      action.reject(new ActionError("LinkError", "the connection to the server was lost"));
    this.actions.clear();
    if (reason.code === SESSION_ENDED) {
      this.events.linkChanged("ended", reason);
      return;
    }
    this.events.linkChanged("lost", reason);
    this.timer = window.setTimeout(() => this.open(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
  }
}
