/** A button with a menu below it, by the browser's popovers: Escape and a click elsewhere close it. */

import { h, icon } from "./dom";

export interface MenuItem {
  readonly label: string;
  readonly icon?: string;
  readonly isChecked?: boolean;
  run(): void;
}

/** Make a button with a menu. `items` is called each time that it opens. */
export function menuButton(
  label: string,
  path: string,
  items: () => readonly MenuItem[],
): HTMLElement {
  const menu = h("div", { class: "menu", role: "menu", popover: "auto", "aria-label": label });
  const button = h(
    "button",
    { type: "button", class: "icon", title: label, "aria-label": label, "aria-haspopup": "menu" },
    icon(path),
  );
  button.popoverTargetElement = menu;
  menu.addEventListener("beforetoggle", (event) => {
    if ((event as ToggleEvent).newState === "open") menu.replaceChildren(...items().map(entry));
  });
  menu.addEventListener("toggle", (event) => {
    if ((event as ToggleEvent).newState !== "open") return;
    place(menu, button);
    menu.querySelector("button")?.focus();
  });
  menu.addEventListener("keydown", (event) => step(menu, event));
  const entry = (item: MenuItem) =>
    h(
      "button",
      {
        type: "button",
        role: item.isChecked === undefined ? "menuitem" : "menuitemradio",
        "aria-checked": item.isChecked === undefined ? null : String(item.isChecked),
        onclick: () => {
          menu.hidePopover();
          item.run();
        },
      },
      item.icon ? icon(item.icon) : null,
      item.label,
    );
  return h("span", { class: "with-menu" }, button, menu);
}

function place(menu: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const left = Math.min(at.left, window.innerWidth - menu.offsetWidth - 8);
  menu.style.left = `${Math.max(left, 8)}px`;
  menu.style.top = `${at.bottom + 4}px`;
}

function step(menu: HTMLElement, event: KeyboardEvent): void {
  const entries = [...menu.querySelectorAll("button")];
  const at = entries.indexOf(document.activeElement as HTMLButtonElement);
  const moves: { readonly [key: string]: number } = {
    ArrowDown: (at + 1) % entries.length,
    ArrowUp: (at - 1 + entries.length) % entries.length,
    Home: 0,
    End: entries.length - 1,
  };
  const next = moves[event.key];
  if (next === undefined) return;
  event.preventDefault();
  entries[next]?.focus();
}
