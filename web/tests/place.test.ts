import { describe, expect, test } from "vitest";
import { BASE, machineOfPath, machinePath } from "../src/shell/place";

describe("paths", () => {
  test.each(["debian", "lab/host1/debian", "a b", "ä?#%", ".."])("of %s are read again", (name) => {
    const path = machinePath(name);
    expect(path.startsWith(`${BASE}m/`)).toBe(true);
    expect(path).not.toMatch(/[?# ]/);
    expect(machineOfPath(path)).toBe(name);
  });

  test.each(["../../api/logout", "lab/../debian", "lab/./debian", "/debian", "a//b"])(
    "of %s lead to no other page",
    (name) => {
      const path = machinePath(name);
      expect(new URL(path, "http://lab/").pathname).toBe(path);
      expect(machineOfPath(path)).toBe(name);
    },
  );

  test("of other pages have no machine", () => {
    expect(machineOfPath(BASE)).toBe("");
    expect(machineOfPath(`${BASE}x/debian`)).toBe("");
  });

  test("that are not valid are taken as they are", () => {
    expect(machineOfPath(`${BASE}m/%zz`)).toBe("%zz");
  });
});
