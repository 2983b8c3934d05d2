/**
 * A block for `Decoder.warmUp`: 32x32 pixels, half of them predicted, half with a palette. Browsers
 * compile a function of WebAssembly at its first call.
 */

/** The bytes when decompressed. */
export const SAMPLE_SIZE = 1618;
export const SAMPLE_SIDE = 32;
/** zstd without its magic number, in base64. */
const SAMPLE = [
  "YFIFpQYAIokbHaAlzQFCS5tS4PdmDVRVdVRVVR33XdjLRku2lCkFBqmjTjLJIIXUSScZNLANsBcGgVHf+PUN",
  "41fFr7pCN6/Gf737tTdgrbUYY6y11pxz7r33VFV317i2S/EDpZRCCCFjjCGEEJmZiIj/bxuFwc4toBGyy63/",
  "OZCCCeaqOug0TeD6AEKDoBZ3wwgg7OOKMhk7aWcgzORy6BgAsOIF7R/A6KAMqPMAcoKihIqIQmABhtsWfAGg",
  "8PNXe68OeTmv3M6DtAdi/mvva3jPyqsqSx8YVAM=",
].join("");

/** Return the compressed bytes. */
export function sampleBlock(): Uint8Array {
  return Uint8Array.from(atob(SAMPLE), (letter) => letter.charCodeAt(0));
}
