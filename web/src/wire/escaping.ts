/**
 * Escapes text of a server before it is shown, as `kju.escaping` does: control characters, characters
 * that reorder or hide others, and line ends become their escapes. Texts are never HTML (`h` makes
 * text nodes), so this is all that they need. No DOM.
 */

/** Controls, formats (directions, no width), surrogates, private ones, unassigned ones, separators. */
const HIDDEN = /(?! )[\p{C}\p{Z}]/gu;

/** Return a text as one line of visible characters and plain spaces. */
export function oneLine(text: string): string {
  return text.replace(HIDDEN, spelled);
}

/** Return the escape of a character, such as `\x1b`, or four spaces for a tab. */
function spelled(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === "\t") return "    ";
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  const [mark, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).padStart(digits as number, "0")}`;
}
