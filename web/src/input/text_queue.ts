/**
 * Texts and keys of a phone, in their order. Texts that arrive while one is typed are joined: each
 * is an action of its own, and few may be under way. No DOM.
 */

import type { KeyStep } from "./outbox";

export interface TextChannel {
  /** Type a text; resolves when it is typed, and never rejects. */
  type(text: string): Promise<void>;
  key(step: KeyStep): void;
  /** Whether the keys that were sent have their answers. */
  readonly isIdle: boolean;
}

type Entry = { text: string } | { step: KeyStep };

export class TextQueue {
  private waiting: Entry[] = [];
  private isTyping = false;

  constructor(private readonly channel: TextChannel) {}

  text(text: string): void {
    const last = this.waiting.at(-1);
    if (last !== undefined && "text" in last) last.text += text;
    else this.waiting.push({ text });
    this.flush();
  }

  key(step: KeyStep): void {
    this.waiting.push({ step });
    this.flush();
  }

  /** Go on. Call it after each answer to a key. */
  flush(): void {
    for (;;) {
      const first = this.waiting[0];
      if (this.isTyping || first === undefined) return;
      if ("step" in first) this.channel.key(first.step);
      else if (this.channel.isIdle) this.type(first.text);
      else return;
      this.waiting.shift();
    }
  }

  clear(): void {
    this.waiting = [];
  }

  private type(text: string): void {
    this.isTyping = true;
    void this.channel.type(text).then(() => {
      this.isTyping = false;
      this.flush();
    });
  }
}
