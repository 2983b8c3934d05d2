/** Dialogs: the browser's own, which keep the focus and close with Escape. */

import { h } from "./dom";
import { say } from "./words";

/** Show a dialog; it is removed when it closes. */
export function showDialog(
  title: string,
  ...children: readonly (Node | string)[]
): HTMLDialogElement {
  const heading = h("h2", { id: `dialog-${crypto.randomUUID()}` }, title);
  const dialog = h("dialog", { "aria-labelledby": heading.id }, heading, ...children);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be taken back. */
export function confirmed(question: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = false;
    const yes = h(
      "button",
      {
        type: "button",
        class: "danger",
        onclick: () => {
          answer = true;
          dialog.close();
        },
      },
      action,
    );
    const no = h("button", { type: "button", onclick: () => dialog.close() }, say("cancel"));
    const dialog = showDialog(question, h("div", { class: "buttons" }, no, yes));
    no.focus();
    dialog.addEventListener("close", () => resolve(answer));
  });
}

/** Show another page. A short message that is shown stays. */
export function showPage(...parts: readonly Node[]): void {
  document.body.replaceChildren(...parts, ...(notice === null ? [] : [notice]));
}

let notice: HTMLElement | null = null;
let noticeTimer = 0;

/** Show a short message at the edge, and to screen readers. */
export function notify(text: string): void {
  notice ??= h("div", { class: "notice", role: "status" });
  // Only what is inside the element in full screen is visible then.
  const parent = document.fullscreenElement ?? document.body;
  if (notice.parentElement !== parent) parent.append(notice);
  notice.textContent = text;
  notice.classList.add("shown");
  clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => notice?.classList.remove("shown"), 6000);
}
