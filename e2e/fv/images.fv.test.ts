/** The container images, built and run by podman or docker; skipped, with the reason, where neither works. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { COMPONENTS, type ComponentName } from "../images/arguments.ts";
import { buildImages, projectVersion, type BuiltImage } from "../images/build.ts";
import { findBuilder, NoBuilder } from "../images/builder.ts";
import { findRunner, type Runner } from "../images/runner.ts";
import { untilTrue } from "../lab/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "images-"));

async function prepare(): Promise<{ images: BuiltImage[]; runner: Runner } | string> {
  try {
    const builder = await findBuilder(null);
    const images = await buildImages({ builder: builder.name, saveDir: dir });
    return { images, runner: findRunner(builder, (images[0] as BuiltImage).reference, dir) };
  } catch (error) {
    if (error instanceof NoBuilder) return error.message;
    throw error;
  }
}
const prepared = await prepare();
const { images, runner } = typeof prepared === "string" ? { images: [], runner: null as never } : prepared;

const referenceOf = (component: ComponentName): string => images.find((image) => image.component === component)?.reference ?? "";
const NODE = ["ipam", "cni", "felix", "bird"] as const;
const SERVICES = [...NODE, "typha", "kube-controllers"] as const;

describe.skipIf(typeof prepared === "string")(`images${typeof prepared === "string" ? ` (${prepared})` : ""}`, () => {
  afterAll(() => rmSync(dir, { recursive: true }));

  it("are all there, under the project's version", () => {
    expect(images.map(({ reference }) => reference)).toEqual(COMPONENTS.map((name) => `localhost/calico/${name}:${projectVersion()}`));
  });

  it.each(SERVICES)("%s starts on a read-only file system, without capabilities, as its user", (component) => {
    const { status, stdout } = runner.run(referenceOf(component), ["node", `/opt/calico/${component}/main.mjs`, "--version"]);
    expect([status, stdout]).toEqual([0, `calico-${component} ${projectVersion()}\n`]);
  });

  it("calicoctl and nats do, and calicoctl's exit codes are its own", () => {
    expect(runner.run(referenceOf("calicoctl"), ["help"])).toMatchObject({ status: 0, stdout: expect.stringContaining("usage: calicoctl <command>") as string });
    expect(runner.run(referenceOf("calicoctl"), ["no-such-command"])).toMatchObject({ status: 2, stderr: expect.stringContaining('there is no command "no-such-command"') as string });
    expect(runner.run(referenceOf("nats"), ["nats-server", "--version"])).toMatchObject({ status: 0, stdout: "nats-server: v2.9.10\n" });
  });

  it("say what they are", () => {
    for (const { component, reference } of images) {
      const [{ Config }] = JSON.parse(runner.command("image", "inspect", reference).stdout) as [{ Config: { User?: string; Cmd?: string[]; Entrypoint?: string[]; Labels: Record<string, string> } }];
      const labels = Object.fromEntries(Object.entries(Config.Labels).filter(([name]) => name.startsWith("org.opencontainers.image.")));
      expect(labels).toMatchObject({
        "org.opencontainers.image.title": component === "calicoctl" ? "calicoctl" : `calico ${component}`, "org.opencontainers.image.version": projectVersion(),
        "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.description": expect.stringMatching(/\.$/) as string,
      });
      expect([component, Config.User ?? ""]).toEqual([component, (NODE as readonly string[]).includes(component) ? "" : "65532:65532"]);
      expect([component, Config.Entrypoint]).toEqual([component, component === "calicoctl" ? ["calicoctl"] : ["/init", "--"]]);
    }
  });

  it("have a shell and tools where people debug a node, and nothing else anywhere", () => {
    const debugging = ["birdc", "bird", "nft", "conntrack"];
    const expected: Record<ComponentName, string[]> = {
      typha: ["node"], "kube-controllers": ["node"], ipam: ["node"], cni: ["node"], calicoctl: ["calicoctl", "node"], nats: ["nats-server"],
      felix: ["conntrack", "ip", "nft", "node", "sh"], bird: ["bird", "birdc", "ip", "node", "sh"],
    };
    for (const { component, reference } of images) {
      const id = runner.command("create", reference, "x").stdout.trim();
      const archive = join(dir, `${component}.tar`);
      runner.command("export", "--output", archive, id);
      runner.command("rm", id);
      const files = listArchive(archive);
      rmSync(archive);
      const programs = [...new Set(files.filter(({ path }) => /^usr\/s?bin\/[^/]+$/.test(path)).map(({ path }) => path.split("/").at(-1) ?? ""))].sort();
      const telling = expected[component].includes("sh") ? programs.filter((name) => ["node", "sh", "ip", ...debugging].includes(name)) : programs;
      expect([component, telling]).toEqual([component, expected[component]]);
      expect([component, programs.filter((name) => /^(apt|dpkg|perl|python|bash|su|sudo|mount\..*)/.test(name))]).toEqual([component, []]);
      expect([component, files.filter(({ mode }) => mode.includes("s")).map(({ path }) => path)]).toEqual([component, []]);
    }
  });

  function listArchive(archive: string): { mode: string; path: string }[] {
    const { stdout } = spawnSync("tar", ["-tvf", archive], { encoding: "utf8", maxBuffer: 64 * 2 ** 20 });
    return stdout.split("\n").filter((line) => line !== "").map((line) => ({ mode: line.slice(0, 10), path: line.split(/\s+/)[5] ?? "" }));
  }

  it("a wrong configuration ends the container with code 2 and one line that says so", () => {
    const { status, stdout, stderr } = runner.run(referenceOf("typha"), ["node", "/opt/calico/typha/main.mjs"], ["--env", "TYPHA_SERVERPORT=many"]);
    expect([status, stderr.trim().split("\n")]).toEqual([2, [expect.stringContaining("many")]]);
    expect(stdout).toContain('"service":"init","code":2');
  });

  it("a program that is killed runs again at once; SIGTERM ends the container", async () => {
    const script = "console.log('up'); process.on('SIGTERM', () => process.exit(0)); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1200)";
    const id = runner.command("run", "--detach", "--read-only", "--network", "none", referenceOf("typha"), "node", "-e", script).stdout.trim();
    try {
      await untilTrue("two starts", async () => runner.command("logs", id).stdout.match(/up\n.*"signal":9.*\nup\n/) !== null, 15_000);
      expect(runner.command("stop", "--time", "5", id).status).toBe(0);
      expect(runner.command("inspect", "--format", "{{.State.ExitCode}}", id).stdout.trim()).toBe("0");
    } finally {
      runner.command("rm", "--force", id);
    }
  });

  it("felix reaches nftables and the kernel's interfaces with NET_ADMIN alone, and bird parses", () => {
    const inFelix = (...command: string[]) => runner.run(referenceOf("felix"), command, ["--cap-add", "NET_ADMIN"]);
    expect(inFelix("sh", "-c", "nft add table inet calico && nft list tables && ip -brief link show lo && conntrack --count")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^table inet calico\nlo .*\n0\n$/) as string });
    for (const component of ["felix", "cni"] as const) {
      const script = "require('/opt/calico/node_modules/koffi').load('libc.so.6'); console.log('loaded')";
      expect(runner.run(referenceOf(component), ["node", "-e", script])).toMatchObject({ status: 0, stdout: "loaded\n" });
    }
    const parse = "echo 'router id 10.0.0.1; protocol device {}' > /tmp/b.cfg && bird -p -c /tmp/b.cfg && birdc -v show status; bird --version";
    expect(runner.run(referenceOf("bird"), ["sh", "-c", parse], ["--tmpfs", "/tmp"])).toMatchObject({ status: 0, stderr: expect.stringContaining("BIRD version 2") as string });
  });

  it("cni puts its plugin and those that a runtime and pods need on the host, and leaves what is there", async () => {
    const host = Object.fromEntries(["bin", "net.d", "run", "lib"].map((name) => [name, join(dir, "host", name)]));
    for (const path of Object.values(host)) mkdirSync(path, { recursive: true });
    writeFileSync(join(host["bin"] ?? "", "tuning"), "somebody else's");
    const kubeconfig = { apiVersion: "v1", kind: "Config", "current-context": "c", contexts: [{ name: "c", context: { cluster: "c", user: "u" } }], clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }], users: [{ name: "u", user: { token: "t" } }] };
    writeFileSync(join(host["lib"] ?? "", "kubeconfig"), JSON.stringify(kubeconfig));
    const mounts = { bin: "/opt/cni/bin", "net.d": "/etc/cni/net.d", run: "/var/run/calico", lib: "/var/lib/calico" };
    const volumes = Object.entries(mounts).flatMap(([name, path]) => ["--volume", `${host[name]}:${path}`]);
    const id = runner.command("run", "--detach", "--read-only", "--network", "none", "--cap-drop", "ALL", ...volumes, "--env", "KUBECONFIG=/var/lib/calico/kubeconfig", referenceOf("cni")).stdout.trim();
    try {
      const present = (): string[] => readdirSync(host["bin"] ?? "").sort();
      await untilTrue(() => `the plugins: ${present().join(" ")}; ${runner.command("logs", id).stdout}`, async () => present().length === 6 && !present().some((name) => name.endsWith(".new")), 20_000);
      expect(present()).toEqual(["bandwidth", "calico", "host-local", "loopback", "portmap", "tuning"]);
      expect(readFileSync(join(host["bin"] ?? "", "tuning"), "utf8")).toBe("somebody else's");
      const { status, stdout } = spawnSync(join(host["bin"] ?? "", "loopback"), { input: '{"cniVersion": "1.0.0"}', encoding: "utf8", env: { CNI_COMMAND: "VERSION" } });
      expect([status, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ supportedVersions: expect.arrayContaining(["1.0.0"]) as string[] })]);
      // The plugin finds its daemon on the socket that the container serves.
      await untilTrue("the daemon's socket", async () => existsSync(join(host["run"] ?? "", "cni.sock")), 20_000);
    } finally {
      runner.command("rm", "--force", id);
    }
  });

  it("take less than 350 MB unpacked, all together", () => {
    const total = statSync(images[0]?.archive ?? "").size;
    console.log(`${images.map(({ component, sizeBytes }) => `${component.padEnd(18)}${String(Math.round(sizeBytes / 1e6)).padStart(4)} MB`).join("\n")}\nall, shared layers once ${Math.round(total / 1e6)} MB`);
    expect(total).toBeLessThan(350e6);
  });
});
