/** Runs work in tasks of at most 8 ms, so that the page stays responsive. */

const LIMIT = 8;

export class WorkQueue<T> {
  private waiting: T[] = [];
  private isScheduled = false;
  private readonly channel = new MessageChannel();

  /**
   * @param run Does one piece of work.
   * @param pause Called after the pieces of one task.
   */
  constructor(
    private readonly run: (item: T) => void,
    private readonly pause: () => void,
  ) {
    this.channel.port1.onmessage = () => {
      this.isScheduled = false;
      this.work();
    };
  }

  /** Add a piece of work. It is done at once, unless older ones wait. */
  add(item: T): void {
    this.waiting.push(item);
    if (!this.isScheduled) this.work();
  }

  clear(): void {
    this.waiting = [];
  }

  private work(): void {
    const begin = performance.now();
    let done = 0;
    try {
      for (const item of this.waiting) {
        done++;
        this.run(item);
        if (performance.now() - begin > LIMIT) break;
      }
    } finally {
      this.waiting = this.waiting.slice(done);
      if (this.waiting.length > 0) {
        // A message comes before other tasks only in turn: input is handled between two.
        this.isScheduled = true;
        this.channel.port2.postMessage(null);
      }
      this.pause();
    }
  }
}
