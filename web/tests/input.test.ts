/** Keys, the order of inputs, scales, and gestures. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Gestures } from "../src/input/gestures";
import { Keyboard } from "../src/input/keyboard";
import { type Body, type KeyStep, Outbox, type PointerAction } from "../src/input/outbox";
import { ReleaseKey } from "../src/input/release_key";
import { TextQueue } from "../src/input/text_queue";
import { pixelAt, shownSize } from "../src/screen/scale";

const key = (code: string, modifiers: readonly string[] = []) => ({
  code,
  key: code,
  getModifierState: (name: string) => modifiers.includes(name),
});

describe("keyboard", () => {
  const record = () => {
    const steps: KeyStep[] = [];
    return { steps, keyboard: new Keyboard((step) => steps.push(step)) };
  };

  it("sends the position, once for each press", () => {
    const { steps, keyboard } = record();
    expect(keyboard.down(key("KeyA"))).toBe(true);
    keyboard.down(key("KeyA"));
    keyboard.up(key("KeyA"));
    expect(steps).toEqual([
      [0x1e, true],
      [0x1e, false],
    ]);
  });

  it("leaves unknown keys to the browser", () => {
    const { steps, keyboard } = record();
    expect(keyboard.down(key("Nonsense"))).toBe(false);
    expect(steps).toEqual([]);
  });

  it("releases a modifier whose release was not seen", () => {
    const { steps, keyboard } = record();
    keyboard.down(key("AltLeft", ["Alt"]));
    keyboard.down(key("KeyA"));
    expect(steps.slice(1)).toEqual([
      [0x38, false],
      [0x1e, true],
    ]);
  });

  it("keeps the right Alt, whichever modifier the layout makes of it", () => {
    for (const modifier of ["Alt", "AltGraph"]) {
      const { steps, keyboard } = record();
      keyboard.down(key("AltRight", [modifier]));
      keyboard.down(key("KeyQ", [modifier]));
      expect(steps).toEqual([
        [0xb8, true],
        [0x10, true],
      ]);
    }
  });

  it("releases a modifier at the next event of the pointer", () => {
    const { steps, keyboard } = record();
    keyboard.down(key("ControlLeft", ["Control"]));
    keyboard.releaseStuck(key("", ["Control"]));
    expect(steps).toHaveLength(1);
    keyboard.releaseStuck(key(""));
    expect(steps.at(-1)).toEqual([0x1d, false]);
  });

  it("presses Caps Lock of a Mac each time that it changes", () => {
    const steps: KeyStep[] = [];
    const keyboard = new Keyboard((step) => steps.push(step), true);
    keyboard.down(key("CapsLock"));
    keyboard.up(key("CapsLock"));
    expect(steps).toEqual([
      [0x3a, true],
      [0x3a, false],
      [0x3a, true],
      [0x3a, false],
    ]);
  });

  it("leaves no key down after any presses and a lost focus", () => {
    const codes = fc.constantFrom(
      "KeyA",
      "ShiftLeft",
      "ControlRight",
      "AltRight",
      "MetaLeft",
      "F5",
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(codes, fc.boolean())), (events) => {
        const { steps, keyboard } = record();
        for (const [code, isDown] of events)
          if (isDown) keyboard.down(key(code, ["Shift", "Control", "Alt", "AltGraph", "Meta"]));
          else keyboard.up(key(code));
        keyboard.releaseAll();
        const down = new Set<number>();
        for (const [number, isDown] of steps) {
          expect(down.has(number)).toBe(!isDown);
          if (isDown) down.add(number);
          else down.delete(number);
        }
        expect(down.size).toBe(0);
      }),
    );
  });
});

describe("release key", () => {
  const record = () => {
    const done: string[] = [];
    const commands = { KeyF: () => done.push("full screen") };
    const releaseKey = new ReleaseKey(commands, () => done.push("released"));
    return { done, releaseKey };
  };
  const press = (releaseKey: ReleaseKey, ...codes: readonly string[]) => {
    for (const code of codes)
      if (code.startsWith("-")) releaseKey.up(code.slice(1));
      else releaseKey.down(code)?.();
  };

  it("alone releases when it comes up, in any order", () => {
    for (const codes of [
      ["ControlLeft", "AltLeft", "-AltLeft", "-ControlLeft"],
      ["AltLeft", "ControlRight", "-AltLeft", "-ControlRight"],
    ]) {
      const { done, releaseKey } = record();
      press(releaseKey, ...codes);
      expect(done).toEqual(["released"]);
    }
  });

  it("with a letter is a command, and releases nothing", () => {
    const { done, releaseKey } = record();
    press(releaseKey, "ControlLeft", "AltLeft", "KeyF", "-KeyF", "-AltLeft", "-ControlLeft");
    expect(done).toEqual(["full screen"]);
  });

  it.each([
    ["another key", ["ControlLeft", "AltLeft", "F1", "-F1", "-AltLeft"]],
    ["a key before", ["ControlLeft", "KeyC", "-KeyC", "-ControlLeft"]],
    ["AltGr, which Windows reports as Ctrl and Alt", ["ControlLeft", "AltRight", "-AltRight"]],
    ["letters without it", ["AltLeft", "KeyF", "-KeyF", "-AltLeft"]],
  ])("is not %s", (_, codes) => {
    const { done, releaseKey } = record();
    press(releaseKey, ...codes);
    expect(done).toEqual([]);
  });
});

describe("outbox", () => {
  const channel = () => ({
    sent: [] as Body[],
    inputsUnderWay: 0,
    canSend: true,
    sendInput(body: Body) {
      this.sent.push(body);
      this.inputsUnderWay++;
    },
  });

  it("has one move under way, and then the newest", () => {
    const fake = channel();
    const outbox = new Outbox(fake);
    for (let x = 0; x < 20; x++) outbox.pointer(["to", x, 0]);
    expect(fake.sent).toEqual([{ type: "point", actions: [["to", 0, 0]] }]);
    fake.inputsUnderWay = 0;
    outbox.flush();
    expect(fake.sent.at(-1)).toEqual({ type: "point", actions: [["to", 19, 0]] });
    expect(fake.sent).toHaveLength(2);
  });

  it("keeps the order of moves, buttons and keys", () => {
    const fake = channel();
    fake.canSend = false;
    const outbox = new Outbox(fake);
    outbox.pointer(["to", 1, 1]);
    outbox.pointer(["button", 0, true]);
    outbox.pointer(["to", 5, 5]);
    outbox.pointer(["button", 0, false]);
    outbox.key([30, true]);
    outbox.key([30, false]);
    fake.canSend = true;
    outbox.flush();
    expect(fake.sent).toEqual([
      {
        type: "point",
        actions: [
          ["to", 1, 1],
          ["button", 0, true],
          ["to", 5, 5],
          ["button", 0, false],
        ],
      },
      {
        type: "keys",
        steps: [
          [30, true],
          [30, false],
        ],
      },
    ]);
  });

  it("is bounded while nothing can be sent", () => {
    const fake = channel();
    fake.canSend = false;
    const outbox = new Outbox(fake);
    for (let i = 0; i < 100_000; i++) outbox.key([30, i % 2 === 0]);
    fake.canSend = true;
    outbox.flush();
    const steps = fake.sent.flatMap((body) => body.steps);
    expect(steps.length).toBeLessThanOrEqual(1024);
  });
});

describe("scale", () => {
  const picture = { width: 1280, height: 800 };

  it.each([1, 1.25, 1.5, 1.75, 2])("100 %% is one device pixel at a ratio of %f", (ratio) => {
    const { width } = shownSize(picture, { width: 300, height: 200 }, "exact", ratio);
    expect(width * ratio).toBeCloseTo(1280);
  });

  it("every point of a pixel is that pixel, at every scale", () => {
    const sizes = fc.double({ min: 0.2, max: 4, noNaN: true });
    const point = fc.tuple(fc.nat(1279), fc.nat(799));
    fc.assert(
      fc.property(sizes, point, (factor, [x, y]) => {
        const shown = { left: 13.5, top: 7.25, width: 1280 * factor, height: 800 * factor };
        const middle = [shown.left + (x + 0.5) * factor, shown.top + (y + 0.5) * factor] as const;
        expect(pixelAt(middle[0], middle[1], shown, picture)).toEqual([x, y]);
      }),
    );
  });

  it("points outside are the nearest pixel", () => {
    const shown = { left: 0, top: 0, width: 1280, height: 800 };
    expect(pixelAt(-5, 900, shown, picture)).toEqual([0, 799]);
  });
});

describe("gestures", () => {
  const play = (isTouchpad = false) => {
    const sent: PointerAction[] = [];
    const zooms: number[] = [];
    let time = 0;
    const gestures = new Gestures(
      {
        isAbsolute: true,
        pixel: (x, y) => [x, y],
        size: () => ({ width: 1000, height: 1000 }),
        send: (action) => sent.push(action),
        zoom: (factor) => zooms.push(factor),
        pan: () => false,
      },
      () => time,
    );
    gestures.wantsTouchpad = isTouchpad;
    return { sent, zooms, gestures, wait: (by: number) => (time += by) };
  };
  const at = (x: number, y: number, id = 1) => ({ id, x, y });

  it("a tap is a click at its place", () => {
    const { sent, gestures } = play();
    gestures.down(at(10, 20));
    gestures.up(at(10, 20));
    expect(sent).toEqual([
      ["to", 10, 20],
      ["button", 0, true],
      ["button", 0, false],
    ]);
  });

  it("a finger that moves drags", () => {
    const { sent, gestures } = play();
    gestures.down(at(10, 20));
    gestures.move(at(60, 20));
    gestures.up(at(60, 20));
    expect(sent.map((action) => action[0])).toEqual(["to", "button", "to", "button"]);
  });

  it("a long press and a tap with two fingers are the right button", () => {
    const long = play();
    long.gestures.down(at(1, 1));
    long.wait(600);
    long.gestures.tick();
    long.gestures.up(at(1, 1));
    expect(long.sent.filter((action) => action[0] === "button")).toEqual([
      ["button", 2, true],
      ["button", 2, false],
    ]);
    const two = play();
    two.gestures.down(at(1, 1));
    two.gestures.down(at(50, 1, 2));
    two.gestures.up(at(1, 1));
    two.gestures.up(at(50, 1, 2));
    expect(two.sent.filter((action) => action[0] === "button")).toEqual([
      ["button", 2, true],
      ["button", 2, false],
    ]);
  });

  it("two fingers scroll, and zoom when they part", () => {
    const scroll = play();
    scroll.gestures.down(at(0, 100));
    scroll.gestures.down(at(50, 100, 2));
    for (let y = 92; y >= 20; y -= 8) {
      scroll.gestures.move(at(0, y));
      scroll.gestures.move(at(50, y, 2));
    }
    expect(scroll.sent.filter((action) => action[0] === "wheel")).toEqual(
      Array.from({ length: 3 }, () => ["wheel", 1, 0]),
    );
    expect(scroll.zooms).toEqual([]);
    const zoom = play();
    zoom.gestures.down(at(100, 100));
    zoom.gestures.down(at(150, 100, 2));
    zoom.gestures.move(at(20, 100));
    zoom.gestures.move(at(260, 100, 2));
    expect(zoom.zooms.length).toBeGreaterThan(0);
    expect(zoom.sent.some((action) => action[0] === "wheel")).toBe(false);
  });

  it("no button stays down after any touches", () => {
    const event = fc.tuple(
      fc.constantFrom("down", "move", "up", "tick", "give up", "cancel"),
      fc.nat(3),
      fc.nat(200),
      fc.nat(200),
      fc.nat(700),
    );
    fc.assert(
      fc.property(fc.boolean(), fc.array(event), (isTouchpad, events) => {
        const { sent, gestures, wait } = play(isTouchpad);
        for (const [kind, id, x, y, time] of events) {
          wait(time);
          if (kind === "down") gestures.down(at(x, y, id));
          else if (kind === "move") gestures.move(at(x, y, id));
          else if (kind === "up") gestures.up(at(x, y, id));
          else if (kind === "tick") gestures.tick();
          else if (kind === "cancel") gestures.cancel(id);
          else gestures.giveUp();
        }
        gestures.clear();
        const down = new Set<number>();
        for (const action of sent)
          if (action[0] === "button") {
            expect(down.has(action[1])).toBe(!action[2]);
            if (action[2]) down.add(action[1]);
            else down.delete(action[1]);
          }
        expect(down.size).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("text queue", () => {
  it("keeps the order of texts and keys, and joins texts that wait", async () => {
    const sent: (string | KeyStep)[] = [];
    const typed: (() => void)[] = [];
    const channel = {
      isIdle: true,
      type(text: string) {
        sent.push(text);
        return new Promise<void>((resolve) => typed.push(resolve));
      },
      key(step: KeyStep) {
        sent.push(step);
        channel.isIdle = false;
      },
    };
    const queue = new TextQueue(channel);
    for (const text of ["a", "b", "c"]) queue.text(text);
    queue.key([14, true]);
    queue.key([14, false]);
    queue.text("d");
    expect(sent).toEqual(["a"]);
    typed.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(sent).toEqual(["a", "bc"]);
    typed.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(sent).toEqual(["a", "bc", [14, true], [14, false]]);
    channel.isIdle = true;
    queue.flush();
    expect(sent.at(-1)).toBe("d");
  });
});
