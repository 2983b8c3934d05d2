/** Both languages have every text, with the same places in it. */
import { expect, it, vi } from "vitest";
import { english, german, say, type Word } from "../src/ui/words";

// Node 20 has no navigator.
vi.hoisted(() => vi.stubGlobal("navigator", { language: "de-AT" }));

const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();
const words = Object.keys(english) as Word[];

it("the languages have the same texts", () => {
  expect(Object.keys(german).sort()).toEqual([...words].sort());
});

it.each(words)("%s is translated, with its places", (word) => {
  expect(german[word].trim()).not.toBe("");
  expect(english[word].trim()).not.toBe("");
  expect(places(german[word])).toEqual(places(english[word]));
});

it("the browser's language decides", () => {
  expect(say("others", { count: 2 })).toBe("2 andere Seiten zeigen diese Maschine");
});
