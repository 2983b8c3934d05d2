/** Actions on a machine: which the role and the state allow, and how they are confirmed. */

import type { Connection } from "../shell/connection";
import type { Machine, Role } from "../wire/socket_messages";
import { confirmed, notify } from "./dialog";
import { icons } from "./icons";
import { say, type Word } from "./words";

interface MachineAction {
  readonly word: Word;
  readonly icon: string;
  readonly action: "start" | "power";
  readonly how?: string;
  readonly question?: Word;
  allowed(machine: Machine): boolean;
}

const isOn = (machine: Machine) => machine.state !== "off";

/** A machine of another computer is shown and driven here, and managed there. */
export const isRemote = (machine: Machine) => machine.kind === "remote";

const ACTIONS: readonly MachineAction[] = [
  {
    word: "start",
    icon: icons.run,
    action: "start",
    allowed: (machine) => machine.state === "off" && machine.isDefined,
  },
  {
    word: "resume",
    icon: icons.run,
    action: "power",
    how: "resume",
    allowed: (machine) => machine.state === "paused",
  },
  {
    word: "pause",
    icon: icons.pause,
    action: "power",
    how: "pause",
    allowed: (machine) => machine.state === "running",
  },
  { word: "shutdown", icon: icons.power, action: "power", how: "shutdown", allowed: isOn },
  {
    word: "reset",
    icon: icons.reset,
    action: "power",
    how: "reset",
    question: "confirmReset",
    allowed: isOn,
  },
  {
    word: "quit",
    icon: icons.stop,
    action: "power",
    how: "quit",
    question: "confirmQuit",
    allowed: isOn,
  },
];

/** Return the actions that a role may use on a machine now. */
export function actionsOn(machine: Machine, role: Role): readonly MachineAction[] {
  const may = role === "manage" && !isRemote(machine);
  return may ? ACTIONS.filter((action) => action.allowed(machine)) : [];
}

/** Carry out an action, after asking if data can be lost. */
export async function carryOut(
  connection: Connection,
  machine: Machine,
  action: MachineAction,
): Promise<void> {
  const { name } = machine;
  const word = say(action.word);
  if (action.question && !(await confirmed(say(action.question, { name }), word))) return;
  try {
    await connection.act(name, action.action, action.how ? { how: action.how } : {});
  } catch (error) {
    notify(say("failed", { action: word, reason: error instanceof Error ? error.message : "" }));
  }
}
