/**
 * The viewer's end of one screen's session: bytes in, drawings and events out. No DOM, no clock of
 * its own.
 */

import { frame } from "./frames";
import { encode, PeerError, type Value } from "./msgpack";
import {
  type PhotoDecoder,
  type Picture,
  type PictureEvents,
  PictureStream,
} from "./picture_stream";
import {
  ack,
  decodeScreenMessage,
  goodbye,
  hello,
  input,
  rate,
  type ScreenMessage,
} from "./screen_messages";

/** Bytes that the server may have on the way to this page. */
const CREDIT = 1 << 20;
/** Inputs without an answer. The sender ends a session that has 64. */
const MAX_INPUTS = 48;

/** Pictures per second that a display shows. The answer to an input does not wait for its turn. */
export const FULL_RATE = 60;

/** Takes what happens. */
export interface SessionEvents extends PictureEvents {
  welcomed(role: "view" | "control"): void;
  /** An input has an answer; `error` is empty for success. */
  answered(error: string, reason: string): void;
  /** Milliseconds from an input to the first pixels after it. */
  reacted(milliseconds: number): void;
  ended(reason: string): void;
}

/** What a session needs from its surroundings. */
export interface SessionShell {
  /** Sends a WebSocket message. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** The time in milliseconds. */
  now(): number;
  /** Decodes photos; null if this page cannot, and then it gets none. */
  readonly photos: PhotoDecoder | null;
  /** A message that was decoded later is not valid. */
  failed(error: PeerError): void;
}

interface SentInput {
  readonly at: number;
  /** The screen's version before the input; -1 until the answer. */
  version: number;
}

export class ScreenSession {
  private readonly stream: PictureStream;
  private acknowledged = 0;
  private openedAt = 0;
  private inputs = 0;
  private rates = 0;
  private takesRates = false;
  private wantedRate: number | null = FULL_RATE;
  private readonly waiting = new Map<number, SentInput>();
  private reactions: SentInput[] = [];
  private isOver = false;

  /** @param screen The number of the screen on the socket. */
  constructor(
    readonly screen: number,
    picture: Picture,
    private readonly events: SessionEvents,
    private readonly shell: SessionShell,
  ) {
    this.stream = new PictureStream(picture, events, {
      photos: shell.photos,
      changed: () => this.react(),
      takenLater: () => this.acknowledge(),
      failed: (error) => shell.failed(error),
    });
  }

  /** Ask for the session. `previous` is the id of this viewer's last one, or empty. */
  begin(role: "view" | "control", previous: string): void {
    this.write(hello(role, CREDIT, previous, this.wantedRate, this.shell.photos !== null));
  }

  /** Say goodbye. */
  close(reason: string): void {
    if (!this.isOver) this.write(goodbye(reason));
    this.abandon();
  }

  /** Do nothing more: the socket is another one. */
  abandon(): void {
    this.isOver = true;
    this.stream.abandon();
  }

  /** State how often this viewer looks; 0 for not at all, null for each change. */
  setRate(value: number | null): void {
    if (value === this.wantedRate) return;
    this.wantedRate = value;
    if (this.takesRates) this.write(rate(++this.rates, value));
  }

  /** The number of inputs without an answer. */
  get inputsUnderWay(): number {
    return this.waiting.size;
  }

  /** Whether another input can be sent now. */
  get canSend(): boolean {
    return !this.isOver && this.openedAt > 0 && this.waiting.size < MAX_INPUTS;
  }

  /** Send an input, such as `{ type: "keys", steps }`. */
  sendInput(body: { readonly [key: string]: Value }): void {
    if (!this.canSend) return;
    const at = this.shell.now();
    this.waiting.set(++this.inputs, { at, version: -1 });
    this.write(input(this.inputs, encode(body), Math.floor(at - this.openedAt)));
  }

  /** Take a message about this screen. Throws `PeerError` for an invalid one. */
  receive(data: Uint8Array): void {
    if (this.isOver) return;
    const message = decodeScreenMessage(data);
    if (!("serial" in message)) this.take(message);
    else if (this.openedAt === 0) throw new PeerError("a picture before the welcome");
    else this.stream.receive(message, data.length);
  }

  /** Acknowledge what was drawn. Call it after drawing, once for several messages. */
  acknowledge(): void {
    const { serial } = this.stream;
    if (this.isOver || serial === this.acknowledged) return;
    this.acknowledged = serial;
    this.write(ack(serial, CREDIT, Math.floor(this.shell.now() - this.openedAt)));
  }

  private take(message: ScreenMessage): void {
    switch (message.type) {
      case "welcome":
        if (message.lossy && this.shell.photos === null)
          throw new PeerError("the sender chose what was not offered");
        this.stream.begin(message.codec);
        this.takesRates = message.rates;
        this.openedAt = this.shell.now();
        this.events.welcomed(message.role);
        break;
      case "done":
        this.answer(message);
        break;
      case "refused":
      case "goodbye":
        this.abandon();
        this.events.ended(message.reason);
        break;
      default:
        break;
    }
  }

  private answer(message: ScreenMessage & { type: "done" }): void {
    const sent = this.waiting.get(message.number);
    if (sent === undefined) throw new PeerError("an answer to no input");
    this.waiting.delete(message.number);
    this.events.answered(message.error, message.reason);
    if (message.error) return;
    sent.version = message.version;
    this.reactions.push(sent);
    if (this.reactions.length > MAX_INPUTS) this.reactions.shift();
    this.react();
  }

  /** Report inputs whose effect may be in the picture: it is newer than they are. */
  private react(): void {
    const now = this.shell.now();
    this.reactions = this.reactions.filter((sent) => {
      if (this.stream.version <= sent.version) return true;
      this.events.reacted(now - sent.at);
      return false;
    });
  }

  private write(message: readonly Value[]): void {
    this.shell.send(frame(this.screen, message));
  }
}
