/** The key of a link becomes a session: a cookie, or, in an iframe, a token in memory. */

import { BASE } from "./place";

const KEY = /^[A-Za-z0-9_-]{43}$/;

/** Return the key in the address; empty if there is none. */
export function keyOfAddress(): string {
  const key = location.hash.slice(1);
  return KEY.test(key) ? key : "";
}

/** Take the key from the address, so that it is in no history and no screenshot. */
export function removeKey(): void {
  history.replaceState(null, "", location.pathname + location.search);
}

/** Return the key of a pasted link; empty if there is none. */
export function keyOfLink(text: string): string {
  const key = text.trim().split("#").at(-1) ?? "";
  return KEY.test(key) ? key : "";
}

/**
 * Exchange a key.
 *
 * @param cookie Set a cookie; else the session is this page's only.
 * @returns The token for a socket: it can be used once if there is a cookie.
 * @throws Error with the server's reason.
 */
export async function exchange(key: string, cookie: boolean): Promise<string> {
  const response = await post({ key, cookie, ticket: true });
  const body: unknown = await response.json();
  return typeof body === "object" && body !== null && "token" in body ? String(body.token) : "";
}

/**
 * Log in with a password.
 *
 * @throws Error with the server's reason.
 */
export async function logIn(user: string, password: string): Promise<void> {
  await post({ user, password });
}

async function post(body: { readonly [name: string]: string | boolean }): Promise<Response> {
  const response = await fetch(`${BASE}api/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

/** How a browser without a session can log in. */
export interface LoginWays {
  /** There are users with passwords. */
  readonly passwords: boolean;
  /** Why the user whom a proxy names is refused; empty without one. */
  readonly refused: string;
}

/** Ask how this browser can log in. */
export async function loginWays(): Promise<LoginWays> {
  const response = await fetch(`${BASE}api/session`);
  const found = response.status === 401 ? ((await response.json()) as Refusal) : {};
  return { passwords: found.passwords === true, refused: found.user ? (found.error ?? "") : "" };
}

interface Refusal {
  readonly error?: string;
  readonly passwords?: boolean;
  readonly user?: string;
}

export async function endSession(): Promise<void> {
  await fetch(`${BASE}api/logout`, { method: "POST" });
}

async function reason(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "error" in body) return String(body.error);
  } catch {
    // Not JSON: a proxy's page.
  }
  return `${response.status} ${response.statusText}`;
}
