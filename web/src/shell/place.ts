/** Where the page is: a proxy may serve it below a path of its own. */

/** The folder of the page's files, with slashes at both ends. */
export const BASE = new URL("./", import.meta.url).pathname;

/** The name of a machine of another computer: it has slashes, and no part that a path leaves out. */
const REMOTE = /^\w[\w.-]*(\/\w[\w.-]*)+$/;

/** Return the path of a machine's page. Slashes of another computer's machine are in the path. */
export function machinePath(name: string): string {
  return `${BASE}m/${REMOTE.test(name) ? name : encodeURIComponent(name)}`;
}

/** Return the machine whose page has a path; empty for another page. */
export function machineOfPath(path: string): string {
  const before = `${BASE}m/`;
  if (!path.startsWith(before)) return "";
  return path.slice(before.length).split("/").map(decoded).join("/");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
