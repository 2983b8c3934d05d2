/** The page of a browser without a session: it takes a user's password, or a link. */

import { exchange, keyOfLink, logIn, loginWays } from "../shell/login";
import { h } from "./dom";
import { say, type Word } from "./words";

/** Show the page; `done` is called after a login. */
export function loginPage(problem: string, done: () => void): HTMLElement {
  const error = h("p", { class: "problem", role: "alert" }, problem);
  const link = h("input", {
    id: "link",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const linkForm = form(error, done, "login", [["loginField", link]], async () => {
    const key = keyOfLink(link.value);
    link.value = "";
    if (!key) throw new Error(say("badLink"));
    await exchange(key, true);
  });
  const page = h(
    "main",
    { class: "login" },
    error,
    h("h1", {}, say("loginTitle")),
    h("p", {}, say("loginHint")),
    linkForm,
  );
  void loginWays().then(({ passwords, refused }) => {
    if (refused) error.textContent = refused;
    if (passwords) error.after(h("h1", {}, say("signIn")), passwordForm(error, done));
    page.querySelector("input")?.focus();
  });
  return page;
}

function passwordForm(error: HTMLElement, done: () => void): HTMLElement {
  const user = h("input", {
    id: "user",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
  });
  const password = h("input", {
    id: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const fields: Field[] = [
    ["userName", user],
    ["password", password],
  ];
  return form(error, done, "signIn", fields, async () => {
    const text = password.value;
    password.value = "";
    await logIn(user.value.trim(), text);
  });
}

type Field = readonly [Word, HTMLInputElement];

function form(
  error: HTMLElement,
  done: () => void,
  button: Word,
  fields: readonly Field[],
  send: () => Promise<void>,
): HTMLElement {
  const submit = h("button", { type: "submit" }, say(button));
  const onsubmit = async (event: Event) => {
    event.preventDefault();
    submit.disabled = true;
    error.textContent = "";
    try {
      await send();
      done();
    } catch (caught) {
      error.textContent = caught instanceof Error ? caught.message : String(caught);
      fields.at(-1)?.[1].focus();
    } finally {
      submit.disabled = false;
    }
  };
  const rows = fields.flatMap(([word, field]) => [h("label", { for: field.id }, say(word)), field]);
  return h("form", { onsubmit }, ...rows, submit);
}
