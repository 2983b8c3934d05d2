/** Where the page is: a proxy may serve it below a path of its own. */

/** The folder of the page's files, with slashes at both ends. */
export const BASE = new URL("./", import.meta.url).pathname;

/** Return the path of a machine's page. A machine of another computer has slashes in its name. */
export function machinePath(name: string): string {
  return `${BASE}m/${name.split("/").map(encodeURIComponent).join("/")}`;
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
