/** All machines, with live pictures of those in view. */

import type { Connection, LinkReason, LinkState, SmallPicture } from "../shell/connection";
import { machinePath } from "../shell/place";
import { oneLine } from "../wire/escaping";
import type { Machine } from "../wire/socket_messages";
import { actionsOn, carryOut } from "./actions";
import { h, iconButton } from "./dom";
import { icons } from "./icons";
import { staleText } from "./link";
import { say } from "./words";

/**
 * Milliseconds in which new pictures are collected. The browser draws a frame for each moment with a
 * new picture, which costs it more than the picture.
 */
const TOGETHER = 100;

/** The bytes of one call: each is an argument. */
const PIECE = 8192;

function base64(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += PIECE)
    text += String.fromCharCode(...data.subarray(at, at + PIECE));
  return btoa(text);
}

class Tile {
  readonly element: HTMLElement;
  private readonly picture = h("img", { alt: "", decoding: "async" });
  private readonly state = h("span", { class: "state" });
  private readonly actions = h("div", { class: "actions" });
  private readonly link: HTMLAnchorElement;
  private version = -1;
  private shown = "";

  constructor(
    private machine: Machine,
    private readonly connection: Connection,
    open: (machine: string) => void,
  ) {
    this.link = h(
      "a",
      {
        href: machinePath(machine.name),
        "aria-label": say("open", { name: oneLine(machine.name) }),
        onclick: (event: MouseEvent) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          open(machine.name);
        },
      },
      h("div", { class: "screen" }, this.picture),
    );
    // A machine of another computer has the names of its place before its own.
    const parts = oneLine(machine.name).split("/");
    const name = h("bdi", { class: "name" }, parts.pop() ?? "");
    const place = parts.length > 0 && h("bdi", { class: "place" }, parts.join("/"));
    const title = h("div", { class: "title", title: oneLine(machine.name) }, name, place);
    const strip = h("div", { class: "strip" }, title, this.state);
    this.element = h("li", { class: "tile" }, this.link, strip, this.actions);
    this.update(machine);
  }

  update(machine: Machine): void {
    this.machine = machine;
    const shown = `${machine.state} ${machine.isDefined} ${this.connection.role}`;
    if (shown === this.shown) return;
    this.shown = shown;
    this.element.dataset.state = machine.state;
    this.state.textContent = say(machine.state);
    this.actions.replaceChildren(
      ...actionsOn(machine, this.connection.role).map((action) =>
        iconButton(`${say(action.word)}: ${oneLine(machine.name)}`, action.icon, () =>
          carryOut(this.connection, this.machine, action),
        ),
      ),
    );
  }

  get isEmpty(): boolean {
    return this.version < 0;
  }

  show(picture: SmallPicture): void {
    if (picture.version === this.version) return;
    this.version = picture.version;
    // Not a blob's URL: its making, fetching and end are calls of another process.
    this.picture.src = `data:image/jpeg;base64,${base64(picture.data)}`;
  }

  remove(): void {
    this.element.remove();
  }
}

export class WallPage {
  readonly element: HTMLElement;
  private readonly grid = h("ul", { class: "wall" });
  private readonly empty = h("p", { class: "empty" });
  private readonly linkText = h("span");
  private readonly link: HTMLElement;
  private linkTimer = 0;
  private lostAt = 0;
  private readonly search: HTMLInputElement;
  private readonly tiles = new Map<string, Tile>();
  private readonly inView = new Set<string>();
  private readonly collected = new Map<string, SmallPicture>();
  private collectTimer = 0;
  private machines: readonly Machine[] = [];
  private readonly observer: IntersectionObserver;
  private readonly onVisibility = () => this.askForPictures();

  /**
   * @param open Opens a machine.
   * @param leave Ends the session; null in an iframe.
   */
  constructor(
    private readonly connection: Connection,
    private readonly open: (machine: string) => void,
    leave: (() => void) | null,
  ) {
    this.search = h("input", {
      type: "search",
      "aria-label": say("search"),
      placeholder: say("search"),
      oninput: () => this.filter(),
    });
    const bar = h(
      "header",
      { class: "bar" },
      h("h1", {}, say("machines")),
      this.search,
      leave && iconButton(say("logout"), icons.leave, leave),
    );
    const retry = () => this.connection.retry();
    this.link = h(
      "div",
      { class: "link", role: "status", hidden: true },
      this.linkText,
      h("button", { type: "button", onclick: retry }, say("retry")),
    );
    this.element = h("main", { class: "page" }, bar, this.link, this.grid, this.empty);
    this.observer = new IntersectionObserver((entries) => this.noteView(entries), {
      rootMargin: "80px",
    });
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  setLink(state: LinkState, reason: LinkReason): void {
    if (state === "open") {
      clearInterval(this.linkTimer);
      this.linkTimer = 0;
      this.link.hidden = true;
      return;
    }
    const since = this.linkTimer === 0 ? performance.now() : this.lostAt;
    this.lostAt = since;
    clearInterval(this.linkTimer);
    const show = () => {
      this.linkText.textContent = staleText(since, reason);
    };
    show();
    this.link.hidden = false;
    this.linkTimer = window.setInterval(show, 1000);
  }

  close(): void {
    clearInterval(this.linkTimer);
    clearTimeout(this.collectTimer);
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    for (const tile of this.tiles.values()) tile.remove();
    this.connection.setWall([]);
    this.element.remove();
  }

  setMachines(machines: readonly Machine[]): void {
    this.machines = machines;
    const names = new Set(machines.map((machine) => machine.name));
    for (const [name, tile] of this.tiles) {
      if (names.has(name)) continue;
      this.observer.unobserve(tile.element);
      tile.remove();
      this.tiles.delete(name);
      this.inView.delete(name);
    }
    for (const machine of machines) {
      const tile = this.tiles.get(machine.name);
      if (tile !== undefined) tile.update(machine);
      else this.add(machine);
    }
    this.filter();
    this.askForPictures();
  }

  showPicture(picture: SmallPicture): void {
    const tile = this.tiles.get(picture.machine);
    if (tile?.isEmpty) {
      tile.show(picture);
      return;
    }
    this.collected.set(picture.machine, picture);
    this.collectTimer ||= window.setTimeout(() => this.showCollected(), TOGETHER);
  }

  private showCollected(): void {
    this.collectTimer = 0;
    for (const [name, picture] of this.collected) this.tiles.get(name)?.show(picture);
    this.collected.clear();
  }

  private add(machine: Machine): void {
    const tile = new Tile(machine, this.connection, this.open);
    tile.element.dataset.name = machine.name;
    this.tiles.set(machine.name, tile);
    const after = [...this.grid.children].find(
      (other) => ((other as HTMLElement).dataset.name ?? "") > machine.name,
    );
    this.grid.insertBefore(tile.element, after ?? null);
    this.observer.observe(tile.element);
  }

  private filter(): void {
    const wanted = this.search.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, tile] of this.tiles) {
      tile.element.hidden = !name.toLowerCase().includes(wanted);
      if (!tile.element.hidden) shown++;
    }
    this.empty.hidden = shown > 0;
    this.empty.textContent = say(this.tiles.size > 0 ? "noMatch" : "noMachines");
  }

  private noteView(entries: readonly IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const name = (entry.target as HTMLElement).dataset.name ?? "";
      if (entry.isIntersecting) this.inView.add(name);
      else this.inView.delete(name);
    }
    this.askForPictures();
  }

  private askForPictures(): void {
    const live = this.machines.filter((machine) => machine.state !== "off");
    const names = live.map((machine) => machine.name).filter((name) => this.inView.has(name));
    this.connection.setWall(document.hidden ? [] : names);
  }
}
