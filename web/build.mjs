/** Build the page into src/kju/web/static, or the folder that is given. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..");
const output = resolve(process.argv[2] ?? join(root, "src/kju/web/static"));
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
const options = {
  outdir: output,
  bundle: true,
  minify: true,
  target: ["es2022", "chrome123", "firefox121", "safari17.5"],
  legalComments: "none",
  absWorkingDir: here,
};
await build({
  ...options,
  entryPoints: [
    { in: join(here, "src/main.ts"), out: "app" },
    { in: join(here, "src/style.css"), out: "app" },
  ],
  format: "esm",
});
// Pages of other servers load it: a module would need CORS, which this server has not.
await build({
  ...options,
  entryPoints: [{ in: join(here, "src/embed.ts"), out: "kju-screen" }],
  format: "iife",
});
for (const name of ["index.html", "app.webmanifest"])
  copyFileSync(join(here, "src", name), join(output, name));
for (const name of readdirSync(join(here, "src/icons")))
  copyFileSync(join(here, "src/icons", name), join(output, name));
copyFileSync(join(root, "src/kju/viewers/qt/kju.svg"), join(output, "icon.svg"));
execFileSync(join(here, "wasm/build"), [join(output, "screen.wasm")], { stdio: "inherit" });
