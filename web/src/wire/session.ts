/**
 * The viewer's end of one screen's session: bytes in, drawings and events out. No DOM, no clock of
 * its own.
 */

import { checkJpeg } from "./jpeg";
import {
  ack,
  decodeScreenMessage,
  frame,
  goodbye,
  hello,
  input,
  rate,
  type ScreenMessage,
} from "./messages";
import { encode, PeerError, type Value } from "./msgpack";

/** Bytes that the server may have on the way to this page. */
const CREDIT = 1 << 20;
/** Bytes that may wait behind a photo that is decoded: more than the credit and all else together. */
const MAX_BACKLOG = 4 << 20;
/** Pixels of the photos of one message. */
const MAX_PHOTO_PIXELS = 1 << 20;
/** Inputs without an answer. The sender ends a session that has 64. */
const MAX_INPUTS = 48;

/** Pictures per second that a display shows. The answer to an input does not wait for its turn. */
export const FULL_RATE = 60;

/** Four numbers of each rectangle: x, y, width, height. */
export type Rects = Uint32Array;

/** The pixels of a screen. */
export interface Picture {
  /** Begin with a black picture. Throws if it is too large. */
  mode(width: number, height: number, grey: boolean): void;
  /** Draw a block; return what has changed. Throws if it is invalid; nothing is drawn then. */
  draw(data: Uint8Array, size: number, raw: boolean): Rects;
  /** Draw pixels, B, G, R, X, at a place inside the picture. */
  drawPhoto(x: number, y: number, width: number, height: number, pixels: Uint8Array): void;
  /** Decompress bytes. Throws if they are not `size` bytes. */
  unpack(data: Uint8Array, size: number, raw: boolean): Uint8Array;
}

/** Decodes a JPEG, which was checked, to B, G, R, X of each pixel. Rejects with `PeerError`. */
export type PhotoDecoder = (data: Uint8Array, width: number, height: number) => Promise<Uint8Array>;

export interface Cursor {
  readonly visible: boolean;
  readonly x: number;
  readonly y: number;
  readonly hotX: number;
  readonly hotY: number;
  readonly width: number;
  readonly height: number;
  /** B, G, R, A of each pixel; null if the shape is the one before. */
  readonly shape: Uint8Array | null;
}

/** Takes what happens. */
export interface SessionEvents {
  welcomed(role: "view" | "control"): void;
  modeChanged(width: number, height: number): void;
  drawn(rects: Rects): void;
  cursorChanged(cursor: Cursor): void;
  /** States are those of kju/surface.h: 1 live, 2 paused, 3 unavailable, 5 and 6 ended. */
  stateChanged(state: number, reason: string): void;
  /** The whole picture was received once; before, some of it is black. */
  completed(): void;
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

type LossySegment = ScreenMessage & { type: "lossy-segment" };
type Serial = ScreenMessage & { serial: number };

interface SentInput {
  readonly at: number;
  /** The screen's version before the input; -1 until the answer. */
  version: number;
}

export class ScreenSession {
  private codec = "raw";
  private epoch = -1;
  private version = 0;
  private isComplete = false;
  private serial = 0;
  private acknowledged = 0;
  private openedAt = 0;
  private inputs = 0;
  private rates = 0;
  private takesRates = false;
  private wantedRate: number | null = FULL_RATE;
  private readonly waiting = new Map<number, SentInput>();
  private reactions: SentInput[] = [];
  private isOver = false;
  private size = { width: 0, height: 0, grey: false };
  private isDecoding = false;
  private backlog: [Serial, number][] = [];
  private backlogBytes = 0;

  /** @param screen The number of the screen on the socket. */
  constructor(
    readonly screen: number,
    private readonly picture: Picture,
    private readonly events: SessionEvents,
    private readonly shell: SessionShell,
  ) {}

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
    this.backlog = [];
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
    else if (this.isDecoding) this.keep(message, data.length);
    else this.takeSerial(message);
  }

  /** Acknowledge what was drawn. Call it after drawing, once for several messages. */
  acknowledge(): void {
    if (this.isOver || this.serial === this.acknowledged) return;
    this.acknowledged = this.serial;
    this.write(ack(this.serial, CREDIT, Math.floor(this.shell.now() - this.openedAt)));
  }

  private take(message: ScreenMessage): void {
    switch (message.type) {
      case "welcome":
        if (message.lossy && this.shell.photos === null)
          throw new PeerError("the sender chose what was not offered");
        this.codec = message.codec;
        this.takesRates = message.rates;
        this.openedAt = this.shell.now();
        this.events.welcomed(message.role);
        break;
      case "done":
        this.answer(message);
        break;
      case "refused":
      case "goodbye":
        this.isOver = true;
        this.events.ended(message.reason);
        break;
      default:
        break;
    }
  }

  private takeSerial(message: Serial): void {
    if (message.serial <= this.serial) return;
    switch (message.type) {
      case "lossy-segment":
        this.beginPhotos(message);
        return;
      case "mode":
        this.picture.mode(message.width, message.height, message.grey);
        this.size = message;
        this.epoch = message.epoch;
        this.events.modeChanged(message.width, message.height);
        break;
      case "segment":
        this.draw(message, []);
        break;
      case "cursor":
        this.events.cursorChanged({ ...message, shape: this.shape(message) });
        break;
      case "state":
        this.events.stateChanged(message.state, message.reason);
        break;
      default:
        break;
    }
    this.serial = message.serial;
  }

  /** Keep a message until the photos before it are drawn: the order is the sender's. */
  private keep(message: Serial, bytes: number): void {
    this.backlogBytes += bytes;
    if (this.backlogBytes > MAX_BACKLOG) throw new PeerError("too much waits behind a photo");
    this.backlog.push([message, bytes]);
  }

  private beginPhotos(message: LossySegment): void {
    const { photos } = this.shell;
    if (photos === null) throw new PeerError("a photo that was not offered");
    if (message.epoch !== this.epoch) {
      this.serial = message.serial;
      return;
    }
    let pixels = 0;
    for (const { x, y, width, height, data } of message.photos) {
      if (x + width > this.size.width || y + height > this.size.height)
        throw new PeerError("a photo outside the picture");
      pixels += width * height;
      if (pixels > MAX_PHOTO_PIXELS) throw new PeerError("photos of too many pixels");
      checkJpeg(data, width, height, this.size.grey);
    }
    this.isDecoding = true;
    const decoded = message.photos.map((each) => photos(each.data, each.width, each.height));
    Promise.all(decoded)
      .then((found) => this.endPhotos(message, found))
      .catch((error: unknown) => {
        if (!(error instanceof PeerError)) throw error;
        if (!this.isOver) this.shell.failed(error);
      });
  }

  /** Draw a lossy segment whose photos are decoded, and then what has waited behind it. */
  private endPhotos(message: LossySegment, pixels: readonly Uint8Array[]): void {
    this.isDecoding = false;
    if (this.isOver) return;
    this.draw(message, pixels);
    this.serial = message.serial;
    while (!this.isDecoding && !this.isOver) {
      const next = this.backlog.shift();
      if (next === undefined) break;
      this.backlogBytes -= next[1];
      this.takeSerial(next[0]);
    }
    this.acknowledge();
  }

  private draw(
    message: ScreenMessage & { type: "segment" | "lossy-segment" },
    photos: readonly Uint8Array[],
  ): void {
    if (message.epoch !== this.epoch) return;
    let rects = this.picture.draw(message.data, message.size, this.codec === "raw");
    if (message.type === "lossy-segment") rects = this.drawPhotos(message, photos, rects);
    this.version = message.version;
    this.events.drawn(rects);
    if (message.completeVersion > 0 && !this.isComplete) {
      this.isComplete = true;
      this.events.completed();
    }
    if (rects.length > 0) this.react();
  }

  private drawPhotos(message: LossySegment, photos: readonly Uint8Array[], rects: Rects): Rects {
    const drawn = [...rects];
    message.photos.forEach(({ x, y, width, height }, i) => {
      this.picture.drawPhoto(x, y, width, height, photos[i] ?? new Uint8Array());
      drawn.push(x, y, width, height);
    });
    return Uint32Array.from(drawn);
  }

  private shape(message: ScreenMessage & { type: "cursor" }): Uint8Array | null {
    if (message.shape === null) return null;
    const size = message.width * message.height * 4;
    return this.picture.unpack(message.shape, size, this.codec === "raw");
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
      if (this.version <= sent.version) return true;
      this.events.reacted(now - sent.at);
      return false;
    });
  }

  private write(message: readonly Value[]): void {
    this.shell.send(frame(this.screen, message));
  }
}
