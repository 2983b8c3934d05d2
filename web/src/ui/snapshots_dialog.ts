/** The snapshots of a machine: save, load, remove. */

import type { Connection } from "../shell/connection";
import { oneLine } from "../wire/escaping";
import { confirmed, showDialog } from "./dialog";
import { h } from "./dom";
import { LANGUAGE, say } from "./words";

/** Seconds that a Date can have. */
const MAX_TIME = 8.64e12;

interface Snapshot {
  readonly tag: string;
  readonly time: number;
  readonly current: boolean;
  readonly hasPicture: boolean;
}

function snapshotsIn(data: unknown): Snapshot[] {
  if (!Array.isArray(data)) return [];
  return data.flatMap((each: unknown) => {
    if (typeof each !== "object" || each === null || !("tag" in each)) return [];
    const time = "time" in each && typeof each.time === "number" ? each.time : 0;
    const is = (name: string) => (each as { [name: string]: unknown })[name] === true;
    return [{ tag: String(each.tag), time, current: is("current"), hasPicture: is("picture") }];
  });
}

export async function showSnapshots(
  connection: Connection,
  machine: string,
  mayChange: boolean,
): Promise<void> {
  const list = h("ul", { class: "snapshots" });
  const problem = h("p", { class: "problem", role: "alert" });
  const field = h("input", { id: "tag", required: true, maxlength: "64" });
  const times = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
  const run = async (how: string, tag: string) => {
    problem.textContent = "";
    try {
      await connection.act(machine, "snapshot", { how, tag });
      await update();
      await showPictures();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const button = (
    word: "load" | "remove",
    how: string,
    question: "confirmLoad" | "confirmRemove",
    tag: string,
  ) =>
    h(
      "button",
      {
        type: "button",
        "aria-label": `${say(word)}: ${tag}`,
        onclick: async () => {
          if (await confirmed(say(question, { tag }), say(word))) await run(how, tag);
        },
      },
      say(word),
    );
  const row = ({ tag, time, current, hasPicture }: Snapshot) =>
    h(
      "li",
      { "aria-current": current ? "true" : null },
      hasPicture &&
        h("img", { class: "snapshot-picture", alt: say("pictureOf", { tag }), "data-tag": tag }),
      h("bdi", {}, oneLine(tag)),
      h("span", { class: "time" }, Math.abs(time) < MAX_TIME ? times.format(time * 1000) : ""),
      mayChange && button("load", "load", "confirmLoad", tag),
      mayChange && button("remove", "delete", "confirmRemove", tag),
    );
  /** One after the other: a page may have few actions in progress. */
  const showPictures = async () => {
    for (const image of list.querySelectorAll("img")) {
      const { tag = "" } = image.dataset;
      const found = await connection.act(machine, "snapshot-picture", { tag });
      if (!image.isConnected) return;
      if (typeof found === "string") image.src = `data:image/png;base64,${found}`;
      else image.remove();
    }
  };
  const update = async () => {
    const found = snapshotsIn(await connection.act(machine, "snapshots"));
    list.replaceChildren(
      ...(found.length > 0 ? found.map(row) : [h("li", {}, say("noSnapshots"))]),
    );
  };
  const save = async (event: Event) => {
    event.preventDefault();
    await run("save", field.value);
  };
  const form = h(
    "form",
    { onsubmit: save, class: "row" },
    h("label", { for: "tag" }, say("tag")),
    field,
    h("button", { type: "submit" }, say("save")),
  );
  const close = h("button", { type: "button", onclick: () => dialog.close() }, say("close"));
  const dialog = showDialog(
    say("snapshots"),
    list,
    mayChange ? form : "",
    problem,
    h("div", { class: "buttons" }, close),
  );
  try {
    await update();
    await showPictures();
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
  }
}
