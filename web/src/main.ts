/** The page: signs in, connects, and shows the wall or a machine. */

import { Decoder } from "./screen/decoder";
import { photoDecoder } from "./screen/photos";
import { Connection, type LinkReason, type LinkState } from "./shell/connection";
import { endSession, exchange, keyOfAddress, keyOfLink, removeKey } from "./shell/login";
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
  private wasOpen = false;
  private readonly connection: Connection;
  private readonly ends = new AbortController();
  private waitTimer = 0;

  /**
   * Connect. What needs the decoder waits for `start`.
   *
   * @param token As of `Connection`.
   * @param events `accepted` is called once: there is a session. `refused` is called for each socket
   *   without a session before.
   */
  constructor(
    token: () => Promise<string> | null,
    private readonly events: { accepted(): void; refused(): void },
  ) {
    this.connection = new Connection(
      {
        begun: () => this.warmUp(),
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
    this.show();
    if (this.connection.hasBegun) this.warmUp();
  }

  /** Use the time in which the server opens the screen, not that before. */
  private warmUp(): void {
    if (this.page instanceof MachinePage) this.page.warmUp();
  }

  /** Connect anew: the token was not valid. */
  reconnect(): void {
    this.connection.close();
    this.connection.open();
  }

  /** Connect no more. */
  close(): void {
    this.ends.abort();
    clearTimeout(this.waitTimer);
    this.connection.close();
  }

  /** Show the login. */
  askForKey(problem: string): void {
    this.page?.close();
    this.close();
    showPage(loginPage(problem, () => location.reload()));
  }

  /** End the session; the socket first, so that its end is not shown as an error. */
  private leave(): void {
    this.close();
    void endSession().finally(() => location.reload());
  }

  private linkChanged(state: LinkState, reason: LinkReason): void {
    clearTimeout(this.waitTimer);
    if (state === "open" && !this.wasOpen) {
      this.wasOpen = true;
      this.events.accepted();
    }
    if (state === "ended" && !this.wasOpen) this.events.refused();
    else if (this.page === null && state !== "open") {
      const time = state === "connecting" ? QUIET_TIME : 0;
      const show = () => this.page ?? this.showWait(state, reason);
      this.waitTimer = window.setTimeout(show, time);
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
    const { machine, console } = this.address();
    // A machine's screen is asked for before the server's list has arrived.
    if (this.module === null || (this.machines === null && !machine)) return;
    this.page?.close();
    const path = machinePath(machine);
    document.title = machine ? `${oneLine(machine)} · kju` : "kju";
    if (machine) {
      const back = isEmbedded ? null : () => this.go(BASE);
      const go = (screen: number) => this.go(`${path}?screen=${screen + 1}`);
      const decoder = new Decoder(this.module);
      this.page = new MachinePage(this.connection, decoder, machine, console, back, go);
      if (this.machines !== null) this.page.setMachine(this.find(machine));
    } else {
      const leave = isEmbedded ? null : () => this.leave();
      const open = (name: string) => this.go(machinePath(name));
      this.page = new WallPage(this.connection, open, leave);
      this.page.setMachines(this.machines ?? []);
    }
    showPage(this.page.element);
    if (this.page instanceof MachinePage) this.page.focus();
  }
}

/** Return why the page was loaded again; empty for no reason. */
function takeProblem(): string {
  const problem = isEmbedded ? "" : (sessionStorage.getItem(PROBLEM) ?? "");
  if (problem) sessionStorage.removeItem(PROBLEM);
  return problem;
}

async function start(): Promise<void> {
  document.documentElement.lang = LANGUAGE;
  // The browser loads it already: see index.html.
  const url = document.querySelector<HTMLLinkElement>("#screen")?.href ?? `${BASE}screen.wasm`;
  const compiling = WebAssembly.compileStreaming(fetch(url));
  const key = keyOfAddress();
  let token = key ? exchange(key, !isEmbedded) : null;
  let problem = "";
  const app = new App(() => token, {
    accepted: () => problem && notify(problem),
    refused: () => {
      const tooSlow = exchanged;
      exchanged = null;
      // The server did not wait so long for the token.
      if (tooSlow) void tooSlow.then((isValid) => isValid && app.reconnect());
      else app.askForKey(problem);
    },
  });
  /** Whether the key was valid; null after a socket was refused. */
  let exchanged: Promise<boolean> | null =
    token?.then(
      () => {
        if (!isEmbedded) token = null; // from now on the browser has a cookie
        return true;
      },
      (error: unknown) => {
        problem = error instanceof Error ? error.message : String(error);
        token = exchanged = null;
        app.reconnect(); // perhaps with the cookie of an earlier session
        return false;
      },
    ) ?? null;
  // After the request: the browser needs milliseconds for each of these.
  if (key) removeKey();
  problem = takeProblem();
  try {
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
