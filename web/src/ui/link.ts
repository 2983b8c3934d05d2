/** What the user reads when the link to the server is not open. */

import type { LinkReason } from "../shell/connection";
import { say, type Word } from "./words";

/** By close code: see docs/reference/wire.md. Other codes have the words of a fault. */
const WORDS: { readonly [code: number]: Word } = {
  1000: "serverEnded",
  1001: "serverEnded",
  1006: "unreachable",
  1008: "sessionEnded",
  1011: "serverFault",
  1013: "tooManyPages",
};
/** Codes whose text adds nothing to the words. */
const PLAIN: readonly number[] = [1000, 1001, 1006];

/** Return the words of a reason, with the text of the server where that says more. */
export function wordsOf(reason: LinkReason): string {
  if (reason.code === 0) return reason.text;
  const words = say(WORDS[reason.code] ?? "fault");
  return reason.text && !PLAIN.includes(reason.code) ? `${words} (${reason.text})` : words;
}

/** Return how old the picture is, and why. */
export function staleText(lostAt: number, reason: LinkReason): string {
  const seconds = Math.round((performance.now() - lostAt) / 1000);
  return `${say("stale", { seconds })} ${wordsOf(reason)}`.trim();
}
