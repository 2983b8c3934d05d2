/** Reads the fields of a message in order, and checks each. Fields after the last are ignored. */

import { oneLine } from "./escaping";
import { PeerError, type Value } from "./msgpack";

export class Fields {
  private at = 1;

  constructor(
    private readonly values: readonly Value[],
    private readonly name: string,
  ) {}

  integer(least: number, most = Number.MAX_VALUE, otherwise?: number): number {
    const value = this.next(otherwise);
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
      this.fail();
    return value;
  }

  boolean(otherwise?: boolean): boolean {
    const value = this.next(otherwise);
    if (typeof value !== "boolean") this.fail();
    return value;
  }

  text(longest: number, otherwise?: string): string {
    const value = this.next(otherwise);
    if (typeof value !== "string" || value.length > longest) this.fail();
    return value;
  }

  /** A text that is only shown, such as a reason. */
  shown(longest: number, otherwise?: string): string {
    return oneLine(this.text(longest, otherwise));
  }

  bytes(longest: number, otherwise?: Uint8Array): Uint8Array {
    const value = this.next(otherwise);
    if (!(value instanceof Uint8Array) || value.length > longest) this.fail();
    return value;
  }

  bytesOrNull(longest: number): Uint8Array | null {
    if (this.at < this.values.length && this.values[this.at] !== null) return this.bytes(longest);
    this.at++;
    return null;
  }

  /** A list of lists, such as machines. */
  rows(longest: number, otherwise?: readonly Value[]): Fields[] {
    const value = this.next(otherwise);
    if (!Array.isArray(value) || value.length > longest) this.fail();
    return (value as readonly Value[]).map((row) => {
      if (!Array.isArray(row)) this.fail();
      const fields = new Fields(row as readonly Value[], this.name);
      fields.at = 0;
      return fields;
    });
  }

  private next(otherwise: Value | undefined): Value {
    const value = this.at < this.values.length ? this.values[this.at] : otherwise;
    this.at++;
    if (value === undefined) this.fail();
    return value;
  }

  private fail(): never {
    throw new PeerError(`field ${this.at - 1} of the message ${this.name} is not valid`);
  }
}
