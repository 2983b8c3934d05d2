/** One machine in full screen, with the keys that the browser and the desktop use elsewhere. */

import { notify } from "./dialog";
import { say } from "./words";

/** Chromium's: gives the page in full screen the keys of the browser and the desktop. */
const { keyboard } = navigator as { keyboard?: { lock(): Promise<void>; unlock(): void } };

/** Show an element in full screen, or leave it. `entered` is called before the keys are taken. */
export async function toggleFullScreen(element: HTMLElement, entered: () => void): Promise<void> {
  if (document.fullscreenElement !== null) {
    await document.exitFullscreen();
    return;
  }
  try {
    await element.requestFullscreen();
    entered();
    // With it the guest gets Alt+Tab and the like; Esc, held down, leaves.
    if (keyboard === undefined) return;
    await keyboard.lock();
    notify(say("grabbed"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    notify(say("failed", { action: say("fullScreen"), reason }));
  }
}

/** Give the keys back after the end of full screen, until the signal. */
export function followFullScreen(signal: AbortSignal): void {
  const changed = () => {
    if (document.fullscreenElement === null) keyboard?.unlock();
  };
  document.addEventListener("fullscreenchange", changed, { signal });
}

/** Whether only a long press of Esc reaches the browser. */
export function areKeysLocked(): boolean {
  return document.fullscreenElement !== null && keyboard !== undefined;
}
