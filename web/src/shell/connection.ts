/** The WebSocket to the server: screens, machines, actions, small pictures, and its return. */

import { oneLine } from "../wire/escaping";
import { frame, SUBPROTOCOL, splitFrame } from "../wire/frames";
import { PeerError } from "../wire/msgpack";
import type { PhotoDecoder, Picture } from "../wire/picture_stream";
import type { ScreenSession, SessionEvents } from "../wire/session";
import {
  authenticate,
  decodeServerMessage,
  type Machine,
  type Role,
  type ServerMessage,
  wall,
} from "../wire/socket_messages";
import { type ActionArguments, ActionError, Actions } from "./actions";
import { BASE } from "./place";
import { Screens } from "./screens";
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
  /** The page's messages were sent on a new socket; the server works on its answers. */
  begun(): void;
  linkChanged(state: LinkState, reason: LinkReason): void;
  machinesChanged(machines: readonly Machine[]): void;
  pictureArrived(picture: SmallPicture): void;
}

export class Connection {
  role: Role = "view";
  server = "";
  private socket: WebSocket | null = null;
  private socketId = "";
  /** This page's messages may follow: its token, if it has one, was sent. */
  hasBegun = false;
  /** The server has sent its hello. */
  isOpen = false;
  private reason = NO_REASON;
  /** What the server said before it closes the socket. */
  private goodbye = "";
  private pause = FIRST_PAUSE;
  private timer = 0;
  private wallNames: readonly string[] = [];
  private readonly actions = new Actions((bytes) => this.send(bytes));
  private readonly screens = new Screens(() => ({
    send: (bytes) => this.send(bytes),
    now: () => performance.now(),
    photos: this.photos(),
    failed: (error) => this.fail(error),
  }));
  private readonly work = new WorkQueue<Uint8Array>(
    (bytes) => this.take(bytes),
    () => this.screens.acknowledge(),
  );

  /**
   * @param token Returns the token for the next socket, which may still be on its way; null with a
   *   cookie.
   * @param build The version of this page's files.
   * @param photos Returns the decoder of photos, for each new session.
   */
  constructor(
    private readonly events: ConnectionEvents,
    private readonly token: () => Promise<string> | null,
    private readonly build: string,
    private readonly photos: () => PhotoDecoder | null,
  ) {}

  /** Connect, and again after each loss. */
  open(): void {
    this.events.linkChanged(this.socketId ? "lost" : "connecting", this.reason);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const token = this.token();
    // The socket connects while a key is exchanged for the token.
    const path = `${BASE}socket${token === null ? "" : "?token"}`;
    const socket = new WebSocket(`${scheme}://${location.host}${path}`, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let isAccepted = false;
    socket.onopen = () => {
      isAccepted = true;
      if (token === null) this.begin(socket, "");
      // A key that is not valid is the caller's: it has the promise too.
      else
        token.then(
          (text) => this.begin(socket, text),
          () => {},
        );
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

  /** Send the token, and ask for all that the page shows: the server's hello comes with the rest. */
  private begin(socket: WebSocket, token: string): void {
    if (this.socket !== socket) return;
    this.hasBegun = true;
    if (token) this.send(frame(0, authenticate(token)));
    this.screens.beginAll(this.socketId);
    if (this.wallNames.length > 0) this.send(frame(0, wall(this.wallNames)));
    this.events.begun();
  }

  /** Disconnect, without an event. */
  close(): void {
    const { socket } = this;
    this.socket = null;
    this.hasBegun = this.isOpen = false;
    clearTimeout(this.timer);
    if (socket === null) return;
    socket.onmessage = null;
    socket.close();
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
    const number = this.screens.add(machine, console, role, picture, events);
    if (this.hasBegun) this.screens.begin(number, "");
    return number;
  }

  /** The session of an open screen: another one after each loss of the link. */
  session(number: number): ScreenSession | null {
    return this.screens.session(number);
  }

  closeScreen(number: number): void {
    this.screens.close(number);
  }

  /** The machines whose small pictures are in view. */
  setWall(names: readonly string[]): void {
    if (names.join("\n") === this.wallNames.join("\n")) return;
    this.wallNames = names;
    if (this.hasBegun) this.send(frame(0, wall(names)));
  }

  /** Carry out an action. Rejects with `ActionError`. */
  act(
    machine: string,
    action: string,
    args: ActionArguments = {},
    progress: (done: number, total: number) => void = () => {},
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (!this.isOpen)
      return Promise.reject(new ActionError("LinkError", "there is no connection to the server"));
    return this.actions.begin(machine, action, args, progress, signal);
  }

  private send(bytes: Uint8Array<ArrayBuffer>): void {
    // A token is the first message.
    if (this.hasBegun && this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  private take(bytes: Uint8Array): void {
    try {
      const [number, data] = splitFrame(bytes);
      if (number === 0) this.takeOwn(decodeServerMessage(data));
      else this.screens.take(number, data);
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

  private takeOwn(message: ServerMessage): void {
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
      case "closed":
        this.screens.closed(message.screen, message.reason);
        break;
      case "result":
      case "progress":
        this.actions.take(message);
        break;
      case "picture":
        this.events.pictureArrived(message);
        break;
      case "goodbye":
        this.goodbye = message.reason;
        break;
    }
  }

  private welcome(hello: ServerMessage & { type: "socket-hello" }): void {
    this.role = hello.role;
    this.server = hello.server;
    this.socketId = hello.socket;
    this.isOpen = true;
    this.pause = FIRST_PAUSE;
    this.reason = NO_REASON;
    this.events.linkChanged("open", this.reason);
  }

  private lose(reason: LinkReason): void {
    this.socket = null;
    this.reason = reason;
    this.goodbye = "";
    this.hasBegun = this.isOpen = false;
    this.work.clear();
    this.screens.abandon();
    this.actions.fail();
    if (reason.code === SESSION_ENDED) {
      this.events.linkChanged("ended", reason);
      return;
    }
    this.events.linkChanged("lost", reason);
    this.timer = window.setTimeout(() => this.open(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
  }
}
