/** Texts of a server become one visible line. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { oneLine } from "../src/wire/escaping";

it.each([
  ["debian 12: läuft €", "debian 12: läuft €"],
  ["\u202egnp.exe", "\\u202egnp.exe"],
  ["a\nb\rc\td", "a\\nb\\rc    d"],
  ["\x1b[31m\0", "\\x1b[31m\\x00"],
  ["\u{e0041}", "\\U000e0041"],
  ["\u2028\u00a0\ufeff", "\\u2028\\xa0\\ufeff"],
  ["\ud800", "\\ud800"],
])("%j is shown as %j", (text, shown) => {
  expect(oneLine(text)).toBe(shown);
});

it("any text has visible characters only", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(oneLine(text)).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]*$/u);
    }),
  );
});
