/** A text that is typed on the guest's keyboard: missing characters are named before. */

import type { Connection } from "../shell/connection";
import { showDialog } from "./dialog";
import { h } from "./dom";
import { readSetting, writeSetting } from "./settings";
import { say } from "./words";

const LAYOUT = "layout";
/** The most characters of one action, as kju.web.messages.MAX_TEXT. */
const MAX_TEXT = 8192;

/** The layout that was chosen for a machine. */
export function layoutOf(machine: string): string {
  return readSetting(`${LAYOUT}-${machine}`) ?? readSetting(LAYOUT) ?? "us";
}

function remember(machine: string, layout: string): void {
  writeSetting(`${LAYOUT}-${machine}`, layout);
  writeSetting(LAYOUT, layout);
}

export async function showPaste(
  connection: Connection,
  machine: string,
  console: number,
): Promise<void> {
  const field = h("textarea", { rows: "8", maxlength: String(MAX_TEXT), spellcheck: "false" });
  const layouts = h("select", { id: "layout" });
  const problem = h("p", { class: "problem", role: "alert" });
  const progress = h("progress", { max: "1", value: "0", hidden: true });
  const count = h("p", { role: "status" });
  const submit = h("button", { type: "submit" }, say("type"));
  const abort = new AbortController();
  const args = () => ({ text: field.value, layout: layouts.value, console });
  const check = async () => {
    const lacking = await connection.act(machine, "check-text", args());
    const characters = Array.isArray(lacking) ? lacking.join(" ") : "";
    problem.textContent = characters ? say("lacks", { characters }) : "";
    return !characters;
  };
  const type = async (event: Event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      if (!(await check())) return;
      remember(machine, layouts.value);
      progress.hidden = false;
      const show = (done: number, total: number) => {
        progress.value = total > 0 ? done / total : 1;
        count.textContent = say("typed", { done, total });
      };
      await connection.act(machine, "type", args(), show, abort.signal);
      dialog.close();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      submit.disabled = false;
      progress.hidden = true;
    }
  };
  const close = h("button", { type: "button", onclick: () => dialog.close() }, say("cancel"));
  const form = h(
    "form",
    { onsubmit: type },
    h("label", {}, say("pasteHint"), field),
    h("label", {}, say("layout"), layouts),
    progress,
    count,
    problem,
    h("div", { class: "buttons" }, close, submit),
  );
  const dialog = showDialog(say("paste"), form);
  dialog.addEventListener("close", () => abort.abort());
  field.focus();
  try {
    const names = await connection.act(machine, "layouts");
    for (const name of Array.isArray(names) ? names : [])
      layouts.append(h("option", { value: String(name) }, String(name)));
    layouts.value = layoutOf(machine);
    const text = await navigator.clipboard?.readText().catch(() => "");
    if (text && !field.value) field.value = text.slice(0, MAX_TEXT);
    if (text && text.length > MAX_TEXT) problem.textContent = say("tooLong", { count: MAX_TEXT });
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
  }
}
