/** The page: signs in, connects, and shows the wall or a machine. */

import { Decoder } from "./screen/decoder";
import { photoDecoder } from "./screen/photos";
import { Connection, type LinkReason, type LinkState } from "./shell/connection";
import {
  endSession,
  exchange,
  hasSession,
  keyOfAddress,
  keyOfLink,
  removeKey,
} from "./shell/login";
import { BASE, machineOfPath, machinePath } from "./shell/place";
import { notify, showPage } from "./ui/dialog";
import { h } from "./ui/dom";
import { wordsOf } from "./ui/link";
import { loginPage } from "./ui/login_page";
import { MachinePage } from "./ui/machine_page";
import { WallPage } from "./ui/wall";
import { LANGUAGE, say } from "./ui/words";
import { oneLine } from "./wire/escaping";
import type { Machine } from "./wire/socket_messages";

/** Why the page was loaded again. */
const PROBLEM = "kju-problem";
const isEmbedded = window.parent !== window;

/** Milliseconds of the first connection before the page says that it connects. */
const QUIET_TIME = 500;

class App {
  private page: WallPage | MachinePage | null = null;
  /** Null before the server's first list. */
  private machines: readonly Machine[] | null = null;
  private module: WebAssembly.Module | null = null;
  /** For the first screen, made while the socket connects. */
  private prepared: Decoder | null = null;
  private readonly connection: Connection;
  private readonly ends = new AbortController();
  private waitTimer = 0;

  /** Connect. What needs the decoder waits for `start`. */
  constructor(token: string) {
    this.connection = new Connection(
      {
        linkChanged: (state, reason) => this.linkChanged(state, reason),
        machinesChanged: (machines) => this.machinesChanged(machines),
        pictureArrived: (picture) => {
          if (this.page instanceof WallPage) this.page.showPicture(picture);
        },
      },
      token,
      document.documentElement.dataset.build ?? "",
      photoDecoder,
    );
    const options = { signal: this.ends.signal };
    window.addEventListener("popstate", () => this.show(), options);
    window.addEventListener("online", () => this.connection.retry(), options);
    // Another link was pasted into the address.
    const reload = () => {
      if (keyOfLink(location.href)) location.reload();
    };
    window.addEventListener("hashchange", reload, options);
    this.connection.open();
  }

  start(module: WebAssembly.Module): void {
    this.module = module;
    if (this.machines !== null) this.show();
    else if (this.address().machine) this.prepared = new Decoder(module);
  }

  /** Connect no more. */
  close(): void {
    this.ends.abort();
    clearTimeout(this.waitTimer);
    this.connection.close();
  }

  /** End the session; the socket first, so that its end is not shown as an error. */
  private leave(): void {
    this.close();
    void endSession().finally(() => location.reload());
  }

  private linkChanged(state: LinkState, reason: LinkReason): void {
    clearTimeout(this.waitTimer);
    if (this.page === null && state !== "open") {
      const time = state === "connecting" ? QUIET_TIME : 0;
      this.waitTimer = window.setTimeout(() => this.showWait(state, reason), time);
    } else if (this.page instanceof WallPage && state === "ended" && !isEmbedded) {
      sessionStorage.setItem(PROBLEM, wordsOf(reason));
      location.reload();
    } else this.page?.setLink(state, reason);
    document.body.classList.toggle("lost", state !== "open");
  }

  /** Before the first list of machines there is no page. */
  private showWait(state: LinkState, reason: LinkReason): void {
    const words = wordsOf(reason);
    const text = state === "ended" ? words : `${say("connecting")} ${words}`;
    const retry = () => (state === "ended" ? location.reload() : this.connection.retry());
    showPage(
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
    if (this.page === null) this.show();
    else if (this.page instanceof WallPage) this.page.setMachines(machines);
    else this.page.setMachine(this.find(this.address().machine));
  }

  private find(name: string): Machine | undefined {
    return this.machines?.find((machine) => machine.name === name);
  }

  /** The machine in the address; empty for the wall. */
  private address(): { machine: string; console: number } {
    const console = Number(new URLSearchParams(location.search).get("screen") ?? 1) - 1;
    return {
      machine: machineOfPath(location.pathname),
      console: Number.isInteger(console) && console >= 0 && console < 16 ? console : 0,
    };
  }

  private go(path: string): void {
    history.pushState(null, "", path);
    this.show();
  }

  private show(): void {
    if (this.module === null || this.machines === null) return;
    this.page?.close();
    const { machine, console } = this.address();
    const path = machinePath(machine);
    document.title = machine ? `${oneLine(machine)} · kju` : "kju";
    if (machine) {
      const back = isEmbedded ? null : () => this.go(BASE);
      const go = (screen: number) => this.go(`${path}?screen=${screen + 1}`);
      const decoder = this.prepared ?? new Decoder(this.module);
      this.prepared = null;
      this.page = new MachinePage(this.connection, decoder, machine, console, back, go);
      this.page.setMachine(this.find(machine));
    } else {
      const leave = isEmbedded ? null : () => this.leave();
      const open = (name: string) => this.go(machinePath(name));
      this.page = new WallPage(this.connection, open, leave);
      this.page.setMachines(this.machines);
    }
    showPage(this.page.element);
    if (this.page instanceof MachinePage) this.page.focus();
  }
}

/** The result of a link in the address. */
interface Exchanged {
  /** The token of an embedded page; empty with a cookie; null without a link that is valid. */
  readonly token: string | null;
  /** Why the link is not valid, or why the page was loaded again. */
  readonly problem: string;
}

async function exchangeLink(): Promise<Exchanged> {
  const key = keyOfAddress();
  const exchanging = key ? exchange(key, !isEmbedded) : Promise.resolve(null);
  // After the request: the browser needs milliseconds for each of these.
  if (key) removeKey();
  const problem = isEmbedded ? "" : (sessionStorage.getItem(PROBLEM) ?? "");
  if (problem) sessionStorage.removeItem(PROBLEM);
  try {
    return { token: await exchanging, problem };
  } catch (error) {
    return { token: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function start(): Promise<void> {
  document.documentElement.lang = LANGUAGE;
  // The browser loads it already: see index.html.
  const url = document.querySelector<HTMLLinkElement>("#screen")?.href ?? `${BASE}screen.wasm`;
  const compiling = WebAssembly.compileStreaming(fetch(url));
  compiling.catch(() => {}); // it is reported below
  const { token, problem } = await exchangeLink();
  const app = new App(token ?? "");
  try {
    // Without a link the browser may have a cookie. The socket connects meanwhile.
    if (token === null && !(await hasSession())) {
      app.close();
      showPage(loginPage(problem, () => location.reload()));
      return;
    }
    if (problem) notify(problem);
    app.start(await compiling);
  } catch (error) {
    app.close();
    throw error;
  }
}

start().catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  showPage(
    h("p", { class: "problem", role: "alert" }, text),
    h("button", { type: "button", onclick: () => location.reload() }, say("retry")),
  );
});
