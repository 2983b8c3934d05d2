/** Pictures and videos of a canvas, saved as files by the browser. */

const TYPES = ["video/webm;codecs=vp9", "video/webm", "video/mp4"];

/** Save bytes as a file. */
export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Return a name of a file with the time, such as `debian-2027-01-31-093000.png`. */
export function fileName(machine: string, suffix: string, time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join("");
  return `${machine.replace(/[^\w.-]/g, "_")}-${day}-${clock}.${suffix}`;
}

export function saveScreenshot(canvas: HTMLCanvasElement, machine: string): void {
  canvas.toBlob((blob) => {
    if (blob !== null) saveFile(blob, fileName(machine, "png", new Date()));
  });
}

export class Recording {
  private readonly parts: Blob[] = [];

  private constructor(
    private readonly recorder: MediaRecorder,
    private readonly machine: string,
  ) {
    recorder.ondataavailable = (event) => this.parts.push(event.data);
  }

  /** Begin; null if this browser cannot. */
  static begin(canvas: HTMLCanvasElement, machine: string): Recording | null {
    if (typeof MediaRecorder === "undefined") return null;
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    if (mimeType === undefined) return null;
    const recorder = new MediaRecorder(canvas.captureStream(), { mimeType });
    const recording = new Recording(recorder, machine);
    recorder.start(1000);
    return recording;
  }

  /** End, and save the file. */
  end(): void {
    this.recorder.onstop = () => {
      const type = this.recorder.mimeType;
      const suffix = type.includes("mp4") ? "mp4" : "webm";
      saveFile(new Blob(this.parts, { type }), fileName(this.machine, suffix, new Date()));
      for (const track of this.recorder.stream.getTracks()) track.stop();
    };
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }
}
