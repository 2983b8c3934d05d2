/**
 * Text of phones' keyboards and of input methods, which have no positions of keys: what is committed
 * is typed by the server with the guest's layout.
 */

import { KEYS } from "./keys";
import type { KeyStep } from "./outbox";

/** Edits that are keys. */
const EDITS: { readonly [inputType: string]: string } = {
  deleteContentBackward: "Backspace",
  deleteContentForward: "Delete",
  insertLineBreak: "Enter",
  insertParagraph: "Enter",
};
/** Keys that write no text, which a keyboard with positions may have all the same. */
const MOVES = /^(Escape|Tab|Insert|Home|End|Page(Up|Down)|Arrow(Up|Down|Left|Right)|F\d{1,2})$/;
/** The field has a text before the cursor, so that phones report Backspace. */
const FILLER = "  ";

/** Follow the edits of a field. `type` takes texts, `key` takes steps of other keys. */
export function followText(
  field: HTMLTextAreaElement,
  type: (text: string) => void,
  key: (step: KeyStep) => void,
): void {
  let isComposing = false;
  const reset = () => {
    field.value = FILLER;
    field.setSelectionRange(FILLER.length, FILLER.length);
  };
  field.addEventListener("compositionstart", () => {
    isComposing = true;
  });
  field.addEventListener("compositionend", (event) => {
    isComposing = false;
    if (event.data) type(event.data);
    reset();
  });
  field.addEventListener("beforeinput", (event) => {
    if (isComposing || event.isComposing || event.inputType === "insertCompositionText") return;
    event.preventDefault();
    const code = EDITS[event.inputType];
    const number = code === undefined ? undefined : KEYS[code];
    if (number !== undefined) {
      key([number, true]);
      key([number, false]);
    } else if (event.data) type(event.data);
  });
  field.addEventListener("keydown", (event) => {
    if (isComposing || event.isComposing) return;
    const codes = codesOf(event);
    const numbers = codes.flatMap((code) => KEYS[code] ?? []);
    if (numbers.length === 0) return;
    event.preventDefault();
    for (const number of numbers) key([number, true]);
    for (const number of numbers.reverse()) key([number, false]);
  });
  field.addEventListener("focus", reset);
}

/** The keys of an event that is no text: a move, or a combination with Ctrl. */
function codesOf(event: KeyboardEvent): string[] {
  const isCombined = event.ctrlKey && !event.getModifierState("AltGraph");
  if (!MOVES.test(event.code) && !(isCombined && /^(Key|Digit)/.test(event.code))) return [];
  const codes = [event.code];
  if (event.shiftKey) codes.unshift("ShiftLeft");
  if (isCombined) codes.unshift("ControlLeft");
  return codes;
}
