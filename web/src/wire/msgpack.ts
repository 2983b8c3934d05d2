/**
 * MessagePack, as far as the wire protocol uses it: nil, booleans, numbers, texts, bytes, arrays,
 * and maps with text keys. Input is hostile: lengths are checked against the bytes that are left,
 * and depth is limited, so a message costs no more than its own length.
 */

export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value };

/** A peer sent bytes that are not a valid message. */
export class PeerError extends Error {}

const MAX_DEPTH = 8;
const text = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true });

class Reader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  value(depth: number): Value {
    const head = this.unsigned(1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 15, depth);
    if (head < 0xa0) return this.array(head & 15, depth);
    if (head < 0xc0) return this.string(head & 31);
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.unsigned(1 << (head - 0xc4)));
      case 0xca:
        return this.view.getFloat32(this.skip(4));
      case 0xcb:
        return this.view.getFloat64(this.skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.unsigned(1 << (head - 0xcc));
      case 0xd0:
        return this.view.getInt8(this.skip(1));
      case 0xd1:
        return this.view.getInt16(this.skip(2));
      case 0xd2:
        return this.view.getInt32(this.skip(4));
      case 0xd3:
        return Number(this.view.getBigInt64(this.skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.string(this.unsigned(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.array(this.unsigned(2 << (head - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.unsigned(2 << (head - 0xde)), depth);
      default:
        throw new PeerError(`an unknown type: ${head.toString(16)}`);
    }
  }

  private skip(size: number): number {
    const at = this.at;
    if (size > this.bytes.length - at) throw new PeerError("a message was cut off");
    this.at += size;
    return at;
  }

  private take(size: number): Uint8Array {
    const at = this.skip(size);
    return this.bytes.subarray(at, at + size);
  }

  /** A number above 2^53 loses its lowest bits; only identities are that large. */
  private unsigned(size: number): number {
    const at = this.skip(size);
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at);
    return size === 4 ? this.view.getUint32(at) : Number(this.view.getBigUint64(at));
  }

  private string(size: number): string {
    try {
      return utf8.decode(this.take(size));
    } catch (error) {
      if (error instanceof PeerError) throw error;
      throw new PeerError("a text that is not UTF-8");
    }
  }

  private array(length: number, depth: number): Value[] {
    this.enter(length, depth);
    const found: Value[] = [];
    for (let i = 0; i < length; i++) found.push(this.value(depth + 1));
    return found;
  }

  private map(length: number, depth: number): Value {
    this.enter(2 * length, depth);
    const found: { [key: string]: Value } = Object.create(null);
    for (let i = 0; i < length; i++) {
      const key = this.value(depth + 1);
      if (typeof key !== "string") throw new PeerError("a key that is not a text");
      found[key] = this.value(depth + 1);
    }
    return found;
  }

  /** Every element has at least one byte. */
  private enter(elements: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new PeerError("a message that is nested too deep");
    if (elements > this.bytes.length - this.at) throw new PeerError("a message was cut off");
  }
}

/**
 * Decode one value.
 *
 * @returns The value. Its bytes are parts of `bytes`, not copies.
 * @throws PeerError if `bytes` are anything but exactly one value.
 */
export function decode(bytes: Uint8Array): Value {
  const reader = new Reader(bytes);
  const found = reader.value(0);
  if (!reader.isAtEnd) throw new PeerError("bytes after a message");
  return found;
}

class Writer {
  private readonly bytes: number[] = [];

  value(value: Value): void {
    if (value === null) this.bytes.push(0xc0);
    else if (typeof value === "boolean") this.bytes.push(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this.number(value);
    else if (typeof value === "string") {
      const encoded = text.encode(value);
      this.head(encoded.length, 0xa0, 31, 0xd9);
      this.append(encoded);
    } else if (value instanceof Uint8Array) {
      this.head(value.length, 0, -1, 0xc4);
      this.append(value);
    } else if (Array.isArray(value)) {
      this.long(value.length, 0x90, 0xdc);
      for (const each of value as readonly Value[]) this.value(each);
    } else {
      const entries = Object.entries(value as { readonly [key: string]: Value });
      this.long(entries.length, 0x80, 0xde);
      for (const [key, each] of entries) {
        this.value(key);
        this.value(each);
      }
    }
  }

  result(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.bytes);
  }

  private append(bytes: Uint8Array): void {
    for (const byte of bytes) this.bytes.push(byte);
  }

  private big(value: number, size: number): void {
    for (let i = size - 1; i >= 0; i--) this.bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
  }

  private number(value: number): void {
    if (!Number.isSafeInteger(value)) {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      this.bytes.push(0xcb, ...new Uint8Array(view.buffer));
    } else if (value < -32) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigInt64(0, BigInt(value));
      this.bytes.push(0xd3, ...new Uint8Array(view.buffer));
    } else if (value < 0) this.bytes.push(256 + value);
    else if (value < 0x80) this.bytes.push(value);
    else {
      const size = value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 2 ** 32 ? 4 : 8;
      this.bytes.push(0xcc + Math.log2(size));
      this.big(value, size);
    }
  }

  private head(length: number, short: number, most: number, long: number): void {
    if (length <= most) this.bytes.push(short | length);
    else {
      const size = length < 0x100 ? 1 : length < 0x10000 ? 2 : 4;
      this.bytes.push(long + Math.log2(size));
      this.big(length, size);
    }
  }

  private long(length: number, short: number, long: number): void {
    if (length < 16) this.bytes.push(short | length);
    else {
      const size = length < 0x10000 ? 2 : 4;
      this.bytes.push(long + Math.log2(size) - 1);
      this.big(length, size);
    }
  }
}

/** Encode one value. */
export function encode(value: Value): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writer.value(value);
  return writer.result();
}
