/** The program that builds and keeps images: podman, buildah or docker, behind one small interface. */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { BUILDERS, type BuilderName } from "./arguments.ts";

export type BuildRequest = {
  readonly context: string;
  readonly containerfile: string;
  readonly target: string | null;
  readonly reference: string;
  readonly buildArguments: Readonly<Record<string, string>>;
  /** Seconds since 1970 that every file and the image itself are dated to. */
  readonly timestamp: number;
};

export type ImageFacts = { readonly id: string; readonly labels: Readonly<Record<string, string>>; readonly sizeBytes: number };

export type Builder = {
  readonly name: BuilderName;
  /** What is known under this name on this machine, or null. */
  inspect(reference: string): Promise<ImageFacts | null>;
  build(request: BuildRequest): Promise<void>;
  /** True when the image could be had from its registry. */
  pull(reference: string): Promise<boolean>;
  push(reference: string): Promise<void>;
  /** Writes one docker archive with all of them; layers that they share are in it once. */
  save(references: readonly string[], file: string): Promise<void>;
};

/** A builder that is missing or does not work here; the message has the remedy. */
export class NoBuilder extends Error {}

const PULL_TIMEOUT_MS = 60_000;

/** The builder of this name, or the first that works here. Throws NoBuilder. */
export async function findBuilder(wanted: BuilderName | null): Promise<Builder> {
  const tried: string[] = [];
  for (const name of wanted === null ? BUILDERS : [wanted]) {
    // docker is often only a client: asking for the server's version needs the server.
    const probe = await runProgram(name, name === "docker" ? ["version", "--format", "{{.Server.Version}}"] : ["--version"]);
    if (probe.status === 0) return createBuilder(name);
    tried.push(`${name} ${probe.status === null ? "is not installed" : `does not work (${lastLines(probe.output, 1)})`}`);
  }
  throw new NoBuilder(`no program that builds images: ${tried.join(", ")}. Install one, for instance: apt-get install podman`);
}

function createBuilder(name: BuilderName): Builder {
  const must = async (doing: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { status, output } = await runProgram(name, args, { env });
    if (status !== 0) throw new Error(`${name} could not ${doing}:\n${lastLines(output, 20)}`);
    return output;
  };
  return {
    name,
    async inspect(reference) {
      const args = name === "buildah" ? ["inspect", "--type", "image", reference] : ["image", "inspect", reference];
      const { status, output } = await runProgram(name, args, { onlyStdout: true });
      return status === 0 ? readFacts(JSON.parse(output)) : null;
    },
    async build(request) {
      await must(`build ${request.reference}`, buildCommand(name, request), { SOURCE_DATE_EPOCH: String(request.timestamp), DOCKER_BUILDKIT: "1" });
    },
    pull: async (reference) => (await runProgram(name, ["pull", reference], { timeoutMs: PULL_TIMEOUT_MS })).status === 0,
    push: async (reference) => void (await must(`push ${reference}`, ["push", reference])),
    async save(references, file) {
      if (name === "buildah") throw new NoBuilder("buildah cannot write several images into one archive; --save needs podman, which shows the same images: apt-get install podman");
      rmSync(file, { force: true });
      const format = name === "podman" ? ["--quiet", "--multi-image-archive", "--format", "docker-archive"] : [];
      await must(`save ${file}`, ["save", ...format, "--output", file, ...references]);
    },
  };
}

/** The arguments that build an image. Its steps need the network and no runtime, so podman and buildah run them in a plain chroot. */
export function buildCommand(name: BuilderName, { context, containerfile, target, reference, buildArguments, timestamp }: BuildRequest): string[] {
  const own = name === "docker" ? [] : ["--isolation", "chroot", "--layers", "--timestamp", String(timestamp)];
  return [
    name === "buildah" ? "bud" : "build", ...own,
    "--file", containerfile, ...(target === null ? [] : ["--target", target]), "--tag", reference,
    ...Object.entries(buildArguments).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]),
    context,
  ];
}

type Inspected = { Id?: string; Size?: number; Config?: { Labels?: Record<string, string> | null } | string; FromImageID?: string; OCIv1?: { config?: { Labels?: Record<string, string> } } };

/** buildah tells the same under other names than the other two, and no size. */
function readFacts(answer: unknown): ImageFacts {
  const found = (Array.isArray(answer) ? answer[0] : answer) as Inspected;
  const labels = (typeof found.Config === "object" ? found.Config.Labels : found.OCIv1?.config?.Labels) ?? {};
  return { id: (found.Id ?? found.FromImageID ?? "").replace(/^sha256:/, ""), labels, sizeBytes: found.Size ?? 0 };
}

type Ended = { readonly status: number | null; readonly output: string };

/** Runs a program to its end. The status is null when it is not there. */
function runProgram(program: string, args: readonly string[], { env = {}, timeoutMs, onlyStdout = false }: { env?: Readonly<Record<string, string>>; timeoutMs?: number; onlyStdout?: boolean } = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }) });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => void (onlyStdout || chunks.push(chunk)));
    child.on("error", () => resolve({ status: null, output: "" }));
    child.on("close", (code, signal) => resolve({ status: signal === null ? code : 1, output: Buffer.concat(chunks).toString() }));
  });
}

function lastLines(text: string, count: number): string {
  return text.trim().split("\n").slice(-count).join("\n");
}
