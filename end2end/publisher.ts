// A publisher with keys of his own, at the command line.

import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { environment, program, run } from "./programs.ts";
import type { Server } from "./server.ts";

/** What is published: a version for some models, of bytes that are made up. */
export type Publication = { version: string; models: string[]; notes?: string; bytes?: number };

export class Publisher {
  private constructor(
    private readonly folder: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** Makes the keys, and has the server trust them. */
  static async setUp(server: Server): Promise<Publisher> {
    const folder = join(server.folder, "publisher");
    await mkdir(folder);
    const env = environment({
      OTTER_SERVER: server.url,
      OTTER_API_KEY: server.apiKey,
      OTTER_PASSPHRASE: randomBytes(16).toString("hex"),
      PATH: `${dirname(program("OTTER_BIN", "otter"))}:${process.env.PATH}`,
    });
    const publisher = new Publisher(folder, env);
    await publisher.otter("key", "generate", "--role", "root", "--out", "root.key");
    await publisher.otter("key", "generate", "--role", "targets", "--out", "targets.key");
    await publisher.otter("trust", "init", "--root-key", "root.key", "--targets-key", "targets.key");
    return publisher;
  }

  /** Uploads, signs and publishes in one go; returns the release's number. */
  async publish({ version, models, notes = "", bytes = 64 << 10 }: Publication): Promise<number> {
    const file = `${models[0]}-${version}.bin`;
    await writeFile(join(this.folder, file), Buffer.alloc(bytes, `${models.join()} ${version}\n`));
    const args = ["--version", version, "--model", models.join(), "--notes", notes, "--kind", "firmware"];
    const printed = await this.otter("release", "publish", ...args, "--key", "targets.key", "--json", file);
    return (JSON.parse(printed) as { id: number }).id;
  }

  /** Types a line into a terminal as it stands, and answers yes to what it asks. */
  async type(line: string): Promise<string> {
    return run("script", ["--quiet", "--return", "--command", line, "/dev/null"], { cwd: this.folder, env: this.env }, "y\n");
  }

  private otter(...args: string[]): Promise<string> {
    return run(program("OTTER_BIN", "otter"), args, { cwd: this.folder, env: this.env });
  }
}
