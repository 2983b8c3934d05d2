/** What this browser remembers. An iframe may have no storage: then nothing is remembered. */

const PREFIX = "kju-";

/** Return a setting; null if there is none. */
export function readSetting(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null; // SecurityError
  }
}

/** Keep a setting, if this browser can. */
export function writeSetting(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // SecurityError, or no room.
  }
}
