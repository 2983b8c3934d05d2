/** A decoder of blocks in TypeScript, from docs/reference/wire.md: the tests' oracle for the C code. */

export class BlockError extends Error {}

export class OraclePicture {
  readonly bytes: Uint8Array;
  constructor(
    readonly width: number,
    readonly height: number,
    readonly channels: 1 | 3,
  ) {
    this.bytes = new Uint8Array(width * height * channels);
  }

  /** Draw a block; throws without having drawn if it is not valid. */
  draw(block: Uint8Array): void {
    this.items(block, new OraclePicture(this.width, this.height, this.channels), true);
    this.items(block, this, false);
  }

  private items(block: Uint8Array, to: OraclePicture, check: boolean): void {
    let at = 0;
    let left = 4 * this.width * this.height;
    let count = 0;
    const table: number[] = [];
    const byte = () => {
      const value = block[at++];
      if (value === undefined) throw new BlockError("cut off");
      return value;
    };
    const varint = () => {
      let value = 0;
      for (let shift = 0; shift < 35; shift += 7) {
        const next = byte();
        value += (next & 127) * 2 ** shift;
        if (next < 128) {
          if (value > 0xffffffff) throw new BlockError("too large");
          return value;
        }
      }
      throw new BlockError("too long");
    };
    const colours = (number: number) => {
      const found: number[] = [];
      for (let i = 0; i < number * this.channels; i++) found.push(byte());
      return found;
    };
    while (at < block.length) {
      const kind = byte();
      const [x, y, w, h] = [varint(), varint(), varint() + 1, varint() + 1];
      if (x + w > this.width || y + h > this.height) throw new BlockError("outside");
      const set = (column: number, row: number, from: readonly number[], index: number) => {
        const entry = index * this.channels < from.length ? index : 0;
        for (let c = 0; c < this.channels; c++)
          to.put(x + column, y + row, c, from[entry * this.channels + c] ?? 0);
      };
      if (kind === 0) {
        const one = colours(1);
        for (let row = 0; row < h && !check; row++)
          for (let column = 0; column < w; column++) set(column, row, one, 0);
      } else if (kind === 1) {
        const [fx, fy] = [varint(), varint()];
        if (fx + w > this.width || fy + h > this.height) throw new BlockError("outside");
        if (!check) to.copy(fx, fy, x, y, w, h);
      } else if (kind === 2 || kind === 4) {
        const number = kind === 2 ? byte() + 1 : varint();
        if (
          kind === 4 &&
          (table.length / this.channels + number > 256 || table.length + number === 0)
        )
          throw new BlockError("table");
        const found = colours(number);
        if (kind === 4) table.push(...found);
        const from = kind === 4 ? table : found;
        const size = from.length / this.channels;
        const bits = kind === 4 ? 8 : size <= 2 ? 1 : size <= 4 ? 2 : size <= 16 ? 4 : 8;
        for (let row = 0; row < h; row++) {
          let value = 0;
          let have = 0;
          for (let column = 0; column < w; column++) {
            if (have === 0) {
              value = byte();
              have = 8;
            }
            if (!check) set(column, row, from, value & ((1 << bits) - 1));
            value >>= bits;
            have -= bits;
          }
        }
      } else if (kind === 3) {
        const how = byte();
        if (how > 2) throw new BlockError("predictor");
        const residuals = block.subarray(at, at + w * h * this.channels);
        at += w * h * this.channels;
        if (residuals.length < w * h * this.channels) throw new BlockError("cut off");
        if (!check) to.predict(x, y, w, h, how, residuals);
      } else throw new BlockError("kind");
      left -= w * h;
      if (++count > 4096 || left < 0) throw new BlockError("work");
    }
  }

  private put(x: number, y: number, channel: number, value: number): void {
    this.bytes[(y * this.width + x) * this.channels + channel] = value;
  }

  private copy(fx: number, fy: number, x: number, y: number, w: number, h: number): void {
    const before = this.bytes.slice();
    for (let row = 0; row < h; row++)
      for (let i = 0; i < w * this.channels; i++)
        this.bytes[((y + row) * this.width + x) * this.channels + i] =
          before[((fy + row) * this.width + fx) * this.channels + i] ?? 0;
  }

  private predict(x: number, y: number, w: number, h: number, how: number, from: Uint8Array): void {
    const planes: Uint8Array[] = [];
    for (let c = 0; c < this.channels; c++) {
      const plane = new Uint8Array(w * h);
      const at = (column: number, row: number) =>
        column < 0 || row < 0 ? 0 : (plane[row * w + column] ?? 0);
      for (let row = 0; row < h; row++)
        for (let column = 0; column < w; column++) {
          const [left, up] = [at(column - 1, row), at(column, row - 1)];
          const sum = left + up - at(column - 1, row - 1);
          const median = [left, up, sum].sort((a, b) => a - b)[1] ?? 0;
          const guess = how === 0 ? left : how === 1 ? up : median;
          plane[row * w + column] = guess + (from[c * w * h + row * w + column] ?? 0);
        }
      planes.push(plane);
    }
    for (let i = 0; i < w * h; i++) {
      const [column, row] = [x + (i % w), y + Math.floor(i / w)];
      const first = planes[0]?.[i] ?? 0;
      if (this.channels === 1) this.put(column, row, 0, first);
      else {
        this.put(column, row, 0, first + (planes[1]?.[i] ?? 0));
        this.put(column, row, 1, first);
        this.put(column, row, 2, first + (planes[2]?.[i] ?? 0));
      }
    }
  }
}
