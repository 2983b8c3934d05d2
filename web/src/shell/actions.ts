/** The actions that were sent to the server, until their results. */

import { frame } from "../wire/frames";
import { act, cancel, type ServerMessage } from "../wire/socket_messages";

export type ActionArguments = { readonly [name: string]: string | number | boolean | null };

/** The server refused an action, or cannot be asked. */
export class ActionError extends Error {
  constructor(
    readonly kind: string,
    reason: string,
  ) {
    super(reason);
  }
}

interface PendingAction {
  resolve(data: unknown): void;
  reject(error: Error): void;
  progress(done: number, total: number): void;
}

export class Actions {
  private last = 0;
  private readonly pending = new Map<number, PendingAction>();

  /** @param send Sends a WebSocket message. */
  constructor(private readonly send: (bytes: Uint8Array<ArrayBuffer>) => void) {}

  /** Carry out an action. Rejects with `ActionError`. */
  begin(
    machine: string,
    action: string,
    args: ActionArguments,
    progress: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const number = ++this.last;
    return new Promise((resolve, reject) => {
      this.pending.set(number, { resolve, reject, progress });
      this.send(frame(0, act(number, machine, action, args)));
      signal?.addEventListener("abort", () => {
        if (this.pending.has(number)) this.send(frame(0, cancel(number)));
      });
    });
  }

  take(message: ServerMessage & { type: "result" | "progress" }): void {
    const action = this.pending.get(message.number);
    if (message.type === "progress") {
      action?.progress(message.done, message.total);
      return;
    }
    this.pending.delete(message.number);
    if (message.error) action?.reject(new ActionError(message.error, message.reason));
    else action?.resolve(message.data);
  }

  /** The link was lost: there will be no results. */
  fail(): void {
    for (const action of this.pending.values())
      action.reject(new ActionError("LinkError", "the connection to the server was lost"));
    this.pending.clear();
  }
}
