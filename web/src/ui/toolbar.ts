/** The bar above a screen. In full screen it slides away. */

import { SCALE_MODES, type ScaleMode } from "../screen/scale";
import type { Connection } from "../shell/connection";
import { oneLine } from "../wire/escaping";
import type { Machine, Role } from "../wire/socket_messages";
import { actionsOn, carryOut, isRemote } from "./actions";
import { h, icon, iconButton } from "./dom";
import { icons } from "./icons";
import { type MenuItem, menuButton } from "./menu";
import { showSnapshots } from "./snapshots_dialog";
import { say } from "./words";

export interface ToolbarTarget {
  readonly connection: Connection;
  readonly canControl: boolean;
  readonly scale: ScaleMode;
  readonly isTouchpad: boolean;
  machine(): Machine | undefined;
  back: (() => void) | null;
  setScale(mode: ScaleMode): void;
  sendChord(codes: readonly string[]): void;
  paste(): void;
  toggleFullScreen(): void;
  screenshot(): void;
  toggleRecording(): boolean;
  typeText(): void;
  toggleTouchpad(): void;
  openScreen(console: number): void;
}

const CHORDS: readonly (readonly [string, readonly string[]])[] = [
  ["Ctrl+Alt+Del", ["ControlLeft", "AltLeft", "Delete"]],
  ["Ctrl+Alt+Backspace", ["ControlLeft", "AltLeft", "Backspace"]],
  ["Alt+Tab", ["AltLeft", "Tab"]],
  ["Alt+F4", ["AltLeft", "F4"]],
  ["Super", ["MetaLeft"]],
  ["Esc", ["Escape"]],
  ["Print", ["PrintScreen"]],
  ["Ctrl+Alt+F1", ["ControlLeft", "AltLeft", "F1"]],
  ["Ctrl+Alt+F2", ["ControlLeft", "AltLeft", "F2"]],
  ["Ctrl+Alt+F3", ["ControlLeft", "AltLeft", "F3"]],
  ["Ctrl+Alt+F7", ["ControlLeft", "AltLeft", "F7"]],
];

export class Toolbar {
  readonly element: HTMLElement;
  private readonly state = h("span", { class: "state", role: "status" });
  private readonly role = h("span", { class: "role" });
  private readonly others = h("span", { class: "others", hidden: true });
  private readonly latency = h("span", { class: "latency" });
  private readonly recordButton: HTMLButtonElement;
  /** Not for a role that only looks. */
  private readonly inputOnly: HTMLElement[];
  private readonly snapshots: HTMLElement;
  private readonly powerMenu: HTMLElement;
  private readonly menu: HTMLElement;

  constructor(
    name: string,
    private readonly target: ToolbarTarget,
  ) {
    const { connection } = target;
    this.recordButton = iconButton(say("record"), icons.record, () => this.record());
    this.menu = menuButton(say("more"), icons.more, () => this.more());
    this.inputOnly = [
      menuButton(say("send"), icons.keys, () => this.chords()),
      iconButton(say("paste"), icons.paste, () => target.paste()),
      iconButton(say("textMode"), icons.text, () => target.typeText()),
    ];
    const releaseKey = h("kbd", {}, say("releaseKey"));
    this.snapshots = iconButton(say("snapshots"), icons.save, () => {
      void showSnapshots(connection, name, connection.role === "manage");
    });
    this.powerMenu = menuButton(say("power"), icons.power, () => this.power());
    // The role is known when the server has answered.
    this.powerMenu.hidden = true;
    this.element = h(
      "header",
      { class: "bar" },
      target.back && iconButton(say("back"), icons.back, target.back),
      h("h1", {}, h("bdi", {}, oneLine(name))),
      this.state,
      this.role,
      this.others,
      this.latency,
      h("span", { class: "space" }, releaseKey),
      ...this.inputOnly,
      menuButton(say("scale"), icons.scale, () => this.scales()),
      iconButton(say("fullScreen"), icons.full, () => target.toggleFullScreen()),
      iconButton(say("screenshot"), icons.picture, () => target.screenshot()),
      this.recordButton,
      this.snapshots,
      this.powerMenu,
      this.menu,
    );
    this.inputOnly.push(releaseKey);
  }

  /** @param role The role in the screen's session: less than the page's, if a key may only view. */
  showState(machine: Machine | undefined, role: Role): void {
    this.state.textContent = machine ? say(machine.state) : "";
    this.element.dataset.state = machine?.state ?? "off";
    this.showOthers((machine?.pages ?? 0) - 1);
    for (const part of this.inputOnly) part.hidden = role === "view";
    const isFar = machine !== undefined && isRemote(machine);
    this.snapshots.hidden = isFar;
    this.powerMenu.hidden = isFar || this.target.connection.role !== "manage";
    this.role.textContent = say(role === "view" ? "viewOnly" : role);
  }

  /** Show the number of other pages: a picture of people, and the words for screen readers. */
  private showOthers(count: number): void {
    this.others.hidden = count < 1;
    if (count < 1) return;
    const words = count === 1 ? say("oneOther") : say("others", { count });
    const spoken = h("span", { class: "spoken" }, words);
    this.others.title = words;
    this.others.replaceChildren(icon(icons.people), h("span", {}, `${count}`), spoken);
  }

  showLatency(milliseconds: number): void {
    const shown = milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds);
    this.latency.textContent = `${shown} ms`;
    this.latency.title = say("latency", { milliseconds: shown });
  }

  /** Give the bar the keyboard. */
  focus(): void {
    this.element.querySelector<HTMLElement>("button")?.focus();
  }

  /** Open the menu with everything that has no button. */
  openMenu(): void {
    this.menu.querySelector<HTMLElement>("button")?.click();
  }

  record(): void {
    const isRecording = this.target.toggleRecording();
    const label = say(isRecording ? "stopRecording" : "record");
    this.recordButton.classList.toggle("on", isRecording);
    this.recordButton.title = label;
    this.recordButton.setAttribute("aria-label", label);
  }

  private chords(): MenuItem[] {
    return CHORDS.map(([label, codes]) => ({ label, run: () => this.target.sendChord(codes) }));
  }

  private scales(): MenuItem[] {
    return SCALE_MODES.map((mode) => ({
      label: say(mode),
      isChecked: mode === this.target.scale,
      run: () => this.target.setScale(mode),
    }));
  }

  private power(): MenuItem[] {
    const machine = this.target.machine();
    if (machine === undefined) return [];
    return actionsOn(machine, this.target.connection.role).map((action) => ({
      label: say(action.word),
      icon: action.icon,
      run: () => void carryOut(this.target.connection, machine, action),
    }));
  }

  private more(): MenuItem[] {
    const screens = this.target.machine()?.consoles ?? 1;
    const items: MenuItem[] = [];
    if (this.target.canControl)
      items.push({
        label: say("touchpad"),
        isChecked: this.target.isTouchpad,
        run: () => this.target.toggleTouchpad(),
      });
    for (let number = 0; number < screens && screens > 1; number++)
      items.push({
        label: say("screen", { number: number + 1 }),
        run: () => this.target.openScreen(number),
      });
    if (items.length === 0)
      items.push({ label: say("fit"), run: () => this.target.setScale("fit") });
    return items;
  }
}
