/**
 * The picture of one screen's session: messages with serial numbers in, drawings and events out, in
 * the sender's order. Messages behind a photo wait until it is decoded.
 */

import { checkJpeg } from "./jpeg";
import { PeerError } from "./msgpack";
import type { ScreenMessage } from "./screen_messages";

/** Bytes that may wait behind a photo that is decoded: more than the credit and all else together. */
const MAX_BACKLOG = 4 << 20;
/** Pixels of the photos of one message. */
const MAX_PHOTO_PIXELS = 1 << 20;

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

/** Takes what happens to the picture. */
export interface PictureEvents {
  modeChanged(width: number, height: number): void;
  drawn(rects: Rects): void;
  cursorChanged(cursor: Cursor): void;
  /** States are those of kju/surface.h: 1 live, 2 paused, 3 unavailable, 5 and 6 ended. */
  stateChanged(state: number, reason: string): void;
  /** The whole picture was received once; before, some of it is black. */
  completed(): void;
}

/** What the stream needs from its session. */
export interface PictureShell {
  /** Decodes photos; null if this page cannot, and then it gets none. */
  readonly photos: PhotoDecoder | null;
  /** Some pixels are new. */
  changed(): void;
  /** Messages were taken later than they were received: they waited for photos. */
  takenLater(): void;
  /** A message that was decoded later is not valid. */
  failed(error: PeerError): void;
}

type LossySegment = ScreenMessage & { type: "lossy-segment" };
export type Serial = ScreenMessage & { serial: number };

export class PictureStream {
  /** The serial number of the newest message that was taken. */
  serial = 0;
  /** The version of the picture. */
  version = 0;
  private isRaw = true;
  private epoch = -1;
  private isComplete = false;
  private isOver = false;
  private size = { width: 0, height: 0, grey: false };
  private isDecoding = false;
  private backlog: [Serial, number][] = [];
  private backlogBytes = 0;

  constructor(
    private readonly picture: Picture,
    private readonly events: PictureEvents,
    private readonly shell: PictureShell,
  ) {}

  /** Begin with the sender's choice of a codec. */
  begin(codec: string): void {
    this.isRaw = codec === "raw";
  }

  /** Do nothing more. */
  abandon(): void {
    this.isOver = true;
    this.backlog = [];
  }

  /** Take a message of this size. Throws `PeerError` for an invalid one. */
  receive(message: Serial, bytes: number): void {
    if (this.isDecoding) this.keep(message, bytes);
    else this.take(message);
  }

  private take(message: Serial): void {
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
      this.take(next[0]);
    }
    this.shell.takenLater();
  }

  private draw(
    message: ScreenMessage & { type: "segment" | "lossy-segment" },
    photos: readonly Uint8Array[],
  ): void {
    if (message.epoch !== this.epoch) return;
    let rects = this.picture.draw(message.data, message.size, this.isRaw);
    if (message.type === "lossy-segment") rects = this.drawPhotos(message, photos, rects);
    this.version = message.version;
    this.events.drawn(rects);
    if (message.completeVersion > 0 && !this.isComplete) {
      this.isComplete = true;
      this.events.completed();
    }
    if (rects.length > 0) this.shell.changed();
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
    return this.picture.unpack(message.shape, size, this.isRaw);
  }
}
