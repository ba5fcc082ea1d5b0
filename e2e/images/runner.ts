/** Runs containers for tests, with podman or docker. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NoBuilder, type Builder } from "./builder.ts";

export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

export type Runner = {
  /** Any command of the program, to its end. */
  command(...args: string[]): Ended;
  /** Runs an image without a network and on a read-only file system, and removes the container. */
  run(image: string, args: readonly string[], options?: readonly string[]): Ended;
};

/**
 * Machines in a machine: a mixed cgroup hierarchy, which crun does not know, and limits that may not be raised. Podman's own
 * defaults are tried first.
 */
const CAUTIOUS = `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
`;

/** A runner for images of this builder that was seen to run this one; `dir` is for its files. Throws NoBuilder with the reason. */
export function findRunner(builder: Builder, image: string, dir: string): Runner {
  if (builder.name === "buildah") throw new NoBuilder("buildah runs no containers, podman and docker do");
  const plain = createRunner(builder.name, {});
  const first = plain.run(image, ["--version"], ["--entrypoint", "node"]);
  if (first.status === 0) return plain;
  const file = join(dir, "containers.conf");
  writeFileSync(file, CAUTIOUS);
  const cautious = createRunner(builder.name, { CONTAINERS_CONF: file });
  if (builder.name === "podman" && cautious.run(image, ["--version"], ["--entrypoint", "node"]).status === 0) return cautious;
  throw new NoBuilder(`${builder.name} cannot run a container here: ${first.stderr.trim()}`);
}

function createRunner(program: string, env: Readonly<Record<string, string>>): Runner {
  const command = (...args: string[]): Ended => {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: { ...process.env, ...env }, timeout: 60_000, maxBuffer: 64 * 2 ** 20 });
    return { status, stdout, stderr };
  };
  return { command, run: (image, args, options = []) => command("run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", ...options, image, ...args) };
}
