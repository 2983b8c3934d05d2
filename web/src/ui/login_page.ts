/** The page of a browser without a session: it takes a link. */

import { exchange, keyOfLink } from "../shell/login";
import { h } from "./dom";
import { say } from "./words";

/** Show the page; `done` is called after a link was accepted. */
export function loginPage(problem: string, done: () => void): HTMLElement {
  const field = h("input", {
    id: "link",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const error = h("p", { class: "problem", role: "alert" }, problem);
  const submit = async (event: Event) => {
    event.preventDefault();
    const key = keyOfLink(field.value);
    field.value = "";
    try {
      if (!key) throw new Error(say("badLink"));
      await exchange(key, true);
      done();
    } catch (caught) {
      error.textContent = caught instanceof Error ? caught.message : String(caught);
      field.focus();
    }
  };
  return h(
    "main",
    { class: "login" },
    h("h1", {}, say("loginTitle")),
    h("p", {}, say("loginHint")),
    h(
      "form",
      { onsubmit: submit },
      h("label", { for: "link" }, say("loginField")),
      field,
      h("button", { type: "submit" }, say("login")),
    ),
    error,
  );
}
