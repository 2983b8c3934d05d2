/** The box over a picture that is not live: why, and what the user can do. */

import type { Connection, LinkReason, LinkState } from "../shell/connection";
import type { Machine } from "../wire/socket_messages";
import { actionsOn, carryOut } from "./actions";
import { h } from "./dom";
import { staleText, wordsOf } from "./link";
import { say } from "./words";

export interface PictureState {
  readonly link: LinkState;
  readonly linkReason: LinkReason;
  /** When the link was lost: milliseconds of `performance.now`. */
  readonly lostAt: number;
  readonly machine: Machine | undefined;
  /** What the screen's session says is amiss; empty for nothing. */
  readonly problem: string;
  readonly isComplete: boolean;
}

export class Badge {
  readonly element = h("div", { class: "badge", role: "status" });
  private shown = "";

  /** @param canLogIn The page can show the login: it is in no other page. */
  constructor(
    private readonly connection: Connection,
    private readonly name: string,
    private readonly canLogIn: boolean,
  ) {}

  /** Show a state. Returns whether the picture is stale. */
  show(state: PictureState): boolean {
    const parts = this.parts(state);
    const shown = parts.map((part) => (typeof part === "string" ? part : part.textContent)).join();
    if (this.shown !== shown) {
      this.shown = shown;
      this.element.replaceChildren(...parts);
    }
    this.element.hidden = parts.length === 0;
    const isLost = state.link === "lost" || state.link === "ended";
    return isLost || state.machine?.state === "off";
  }

  private parts(state: PictureState): (Node | string)[] {
    const { link, linkReason, machine } = state;
    if (link === "ended") {
      const again = button(say("newLink"), () => location.reload());
      return this.canLogIn ? [wordsOf(linkReason), again] : [wordsOf(linkReason)];
    }
    if (link === "lost") {
      const retry = button(say("retry"), () => this.connection.retry());
      return [staleText(state.lostAt, linkReason), retry];
    }
    if (machine?.state === "off") {
      const actions = actionsOn(machine, this.connection.role).map((action) =>
        button(say(action.word), () => carryOut(this.connection, machine, action)),
      );
      return [say("isOff", { name: this.name }), ...actions];
    }
    if (state.problem) return [state.problem];
    if (!state.isComplete) return [say("waiting")];
    return machine?.state === "paused" ? [say("paused")] : [];
  }
}

function button(label: string, onclick: () => void): HTMLButtonElement {
  return h("button", { type: "button", onclick }, label);
}
