/**
 * Checks the JPEG of a photo before the browser decodes it: one baseline scan of the photo's own
 * size. Other kinds can take very long, such as a thousand scans. The rules are those of
 * docs/reference/wire.md and `kju.wire.jpeg`. No DOM.
 */

import { PeerError } from "./msgpack";

/** Markers of ITU-T T.81, annex B. */
const START = 0xd8;
const END = 0xd9;
const FRAME = 0xc0;
const HUFFMAN = 0xc4;
const SCAN = 0xda;
const TABLES = 0xdb;
const RESTART = 0xdd;
const APPLICATION = 0xe0;
const ALLOWED: readonly number[] = [FRAME, HUFFMAN, SCAN, TABLES, RESTART, APPLICATION];
const MAX_PARTS = 16;
/** Accepted sampling factors of a component: 1 or 2 in each direction. */
const SAMPLINGS: readonly number[] = [0x11, 0x12, 0x21, 0x22];

interface Part {
  readonly marker: number;
  readonly body: Uint8Array;
}

/** Throw `PeerError` unless `data` is an accepted JPEG of this size. */
export function checkJpeg(data: Uint8Array, width: number, height: number, grey: boolean): void {
  const [parts, end] = partsOf(data);
  const frames = parts.filter((part) => part.marker === FRAME);
  const [frame] = frames;
  if (frame === undefined || frames.length > 1)
    throw new PeerError("a photo that is not a baseline JPEG");
  if (parts.some((part) => !ALLOWED.includes(part.marker)))
    throw new PeerError("a photo that is not a baseline JPEG");
  const { body } = frame;
  const channels = grey ? 1 : 3;
  if (body.length !== 6 + 3 * channels || body[0] !== 8 || body[5] !== channels)
    throw new PeerError(`a photo without ${channels} components of 8 bits`);
  if (number(body, 3) !== width || number(body, 1) !== height)
    throw new PeerError(`a photo whose JPEG is not ${width} x ${height}`);
  for (let at = 7; at < body.length; at += 3)
    if (!SAMPLINGS.includes(body[at] ?? 0)) throw new PeerError("a photo with unknown samplings");
  if (parts.at(-1)?.body[0] !== channels) throw new PeerError("a photo with more than one scan");
  checkScan(data, end);
}

/** The marker segments before the coded pixels, the scan's header last, and where they end. */
function partsOf(data: Uint8Array): [Part[], number] {
  const parts: Part[] = [];
  let at = 2;
  if (data[0] !== 0xff || data[1] !== START) throw new PeerError("a photo that is not a JPEG");
  while (parts.at(-1)?.marker !== SCAN) {
    const size = number(data, at + 2);
    const end = at + 2 + size;
    if (parts.length >= MAX_PARTS || data[at] !== 0xff || size < 2 || end > data.length)
      throw new PeerError("a photo without valid markers");
    parts.push({ marker: data[at + 1] ?? 0, body: data.subarray(at + 4, end) });
    at = end;
  }
  return [parts, at];
}

/** The coded pixels have stuffing and restarts only, and nothing follows their end. */
function checkScan(data: Uint8Array, from: number): void {
  for (let at = data.indexOf(0xff, from); at >= 0; at = data.indexOf(0xff, at + 2)) {
    const marker = data[at + 1];
    if (marker === 0 || (marker !== undefined && marker >= 0xd0 && marker <= 0xd7)) continue;
    if (marker === END && at + 2 === data.length) return;
    break;
  }
  throw new PeerError("a photo that does not end with its scan");
}

function number(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
