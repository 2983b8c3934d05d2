/** Decodes photos, which are JPEGs, by the browser's `ImageDecoder`, outside the page's thread. */

import { PeerError } from "../wire/msgpack";
import type { PhotoDecoder } from "../wire/picture_stream";

const FORMAT = "BGRX";
let isUsable: boolean | null = null;

/** Return the decoder of photos; null if this browser has none. It has none without TLS or loopback. */
export function photoDecoder(): PhotoDecoder | null {
  isUsable ??= typeof ImageDecoder !== "undefined" && convertsFormats();
  return isUsable ? decode : null;
}

/** Whether frames can be copied in another format. Browsers that cannot ignore the option. */
function convertsFormats(): boolean {
  const init = { format: FORMAT, codedWidth: 1, codedHeight: 1, timestamp: 0 } as const;
  const frame = new VideoFrame(new Uint8Array(4), init);
  let isRead = false;
  frame.allocationSize({
    get format(): VideoPixelFormat {
      isRead = true;
      return FORMAT;
    },
  });
  frame.close();
  return isRead;
}

async function decode(data: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const pixels = new Uint8Array(4 * width * height);
  const options = { type: "image/jpeg", colorSpaceConversion: "none" } as const;
  // A copy: the decoder may read it later, and from another thread.
  const decoder = new ImageDecoder({ data: data.slice(), ...options });
  let frame: VideoFrame | null = null;
  try {
    frame = (await decoder.decode()).image;
    await frame.copyTo(pixels, { format: FORMAT });
    return pixels;
  } catch (error) {
    // The next session is one without photos.
    if (error instanceof DOMException && error.name === "NotSupportedError") isUsable = false;
    throw new PeerError(`a photo that cannot be decoded: ${error}`);
  } finally {
    frame?.close();
    decoder.close();
  }
}
