/**
 * The release key, Ctrl+Alt as in the window of `kju view`: alone it gives the keyboard and the
 * pointer back to the page, with a letter it is a command of the page. No DOM.
 */

const KEYS: readonly string[] = ["ControlLeft", "ControlRight", "AltLeft"];

export class ReleaseKey {
  private readonly held = new Set<string>();
  private isAlone = false;

  /**
   * @param commands By the codes of their keys.
   * @param release Called when Ctrl+Alt were pressed alone, and one of them comes up.
   */
  constructor(
    private readonly commands: { readonly [code: string]: () => void },
    private readonly release: () => void,
  ) {}

  /** Note a key that goes down. Returns the command of the combination; the guest gets no key then. */
  down(code: string): (() => void) | null {
    if (KEYS.includes(code)) {
      this.held.add(code);
      this.isAlone = this.isComplete;
      return null;
    }
    const command = this.isComplete ? this.commands[code] : undefined;
    this.isAlone = false;
    return command ?? null;
  }

  /** Note a key that comes up. Call it after the guest got the release. */
  up(code: string): void {
    if (!this.held.delete(code)) return;
    const wasAlone = this.isAlone;
    this.isAlone = false;
    if (wasAlone) this.release();
  }

  /** Forget the keys: the page has lost the focus, or the pointer was used. */
  clear(): void {
    this.held.clear();
    this.isAlone = false;
  }

  private get isComplete(): boolean {
    return this.held.has("AltLeft") && this.held.size > 1;
  }
}
