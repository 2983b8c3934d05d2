/** The page: signs in, connects, and shows the wall or a machine. */

import { photoDecoder } from "./screen/photos";
import { Connection, type LinkState } from "./shell/connection";
import { currentSession, endSession, exchange, keyOfLink, takeKey } from "./shell/login";
import { notify } from "./ui/dialog";
import { h } from "./ui/dom";
import { loginPage } from "./ui/login_page";
import { MachinePage } from "./ui/machine_page";
import { WallPage } from "./ui/wall";
import { LANGUAGE, say } from "./ui/words";
import type { Machine } from "./wire/messages";

const isEmbedded = window.parent !== window;

class App {
  private page: WallPage | MachinePage | null = null;
  private machines: readonly Machine[] = [];
  private readonly connection: Connection;
  private isReady = false;

  constructor(
    private readonly module: WebAssembly.Module,
    token: string,
    build: string,
  ) {
    this.connection = new Connection(
      {
        linkChanged: (state, reason) => this.linkChanged(state, reason),
        machinesChanged: (machines) => this.machinesChanged(machines),
        pictureArrived: (picture) => {
          if (this.page instanceof WallPage) this.page.showPicture(picture);
        },
      },
      token,
      build,
      photoDecoder,
    );
    window.addEventListener("popstate", () => this.show());
    window.addEventListener("online", () => this.connection.retry());
    // Another link was pasted into the address.
    window.addEventListener("hashchange", () => {
      if (keyOfLink(location.href)) location.reload();
    });
    this.connection.open();
  }

  private linkChanged(state: LinkState, reason: string): void {
    if (this.page === null && state !== "open") this.showWait(state, reason);
    else if (this.page instanceof MachinePage) this.page.setLink(state, reason);
    else if (state === "ended" && !isEmbedded) location.reload();
    document.body.classList.toggle("lost", state !== "open");
  }

  /** Before the first list of machines there is no page. */
  private showWait(state: LinkState, reason: string): void {
    const text = state === "ended" ? say("ended", { reason }) : `${say("connecting")} ${reason}`;
    const retry = () => (state === "ended" ? location.reload() : this.connection.retry());
    document.body.replaceChildren(
      h(
        "main",
        { class: "login", role: "status" },
        h("p", {}, text),
        h("button", { type: "button", onclick: retry }, say("retry")),
      ),
    );
  }

  private machinesChanged(machines: readonly Machine[]): void {
    this.machines = machines;
    if (!this.isReady) {
      this.isReady = true;
      this.show();
      return;
    }
    if (this.page instanceof WallPage) this.page.setMachines(machines);
    else this.page?.setMachine(this.find(this.address().machine));
  }

  private find(name: string): Machine | undefined {
    return this.machines.find((machine) => machine.name === name);
  }

  /** The machine in the address; empty for the wall. */
  private address(): { machine: string; console: number } {
    const found = /^\/m\/([^/]+)$/.exec(location.pathname);
    const console = Number(new URLSearchParams(location.search).get("screen") ?? 1) - 1;
    return {
      machine: found?.[1] ? decoded(found[1]) : "",
      console: Number.isInteger(console) && console >= 0 && console < 16 ? console : 0,
    };
  }

  private go(path: string): void {
    history.pushState(null, "", path);
    this.show();
  }

  private show(): void {
    this.page?.close();
    const { machine, console } = this.address();
    const path = `/m/${encodeURIComponent(machine)}`;
    document.title = machine ? `${machine} · kju` : "kju";
    if (machine) {
      const back = isEmbedded ? null : () => this.go("/");
      const go = (screen: number) => this.go(`${path}?screen=${screen + 1}`);
      this.page = new MachinePage(this.connection, this.module, machine, console, back, go);
      this.page.setMachine(this.find(machine));
    } else {
      const leave = isEmbedded ? null : () => void endSession().then(() => location.reload());
      const open = (name: string) => this.go(`/m/${encodeURIComponent(name)}`);
      this.page = new WallPage(this.connection, open, leave);
      this.page.setMachines(this.machines);
    }
    document.body.replaceChildren(this.page.element);
    if (this.page instanceof MachinePage) this.page.focus();
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function start(): Promise<void> {
  document.documentElement.lang = LANGUAGE;
  const module = WebAssembly.compileStreaming(fetch("/screen.wasm"));
  const key = takeKey();
  let problem = "";
  let token = "";
  if (key)
    try {
      token = await exchange(key, !isEmbedded);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
  const session = token ? null : await currentSession();
  if (session === null && !token) {
    document.body.replaceChildren(loginPage(problem, () => location.reload()));
    return;
  }
  if (problem) notify(problem);
  document.body.replaceChildren();
  new App(await module, token, session?.build ?? "");
}

start().catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  document.body.replaceChildren(h("p", { class: "problem", role: "alert" }, text));
  document.body.append(
    h("button", { type: "button", onclick: () => location.reload() }, say("retry")),
  );
});
