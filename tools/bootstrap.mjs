// Entry of `npm run lab`, `npm test`, `npm run bench` and `npm run images` on a fresh machine: installs what is missing, then starts
// the real program on the project's own Node.js. Plain JavaScript, because it runs on whatever Node.js is there.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { constants as osConstants } from "node:os";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampDir = join(root, "node_modules", ".calico");

/** Debian packages by the program that proves them present. */
const SYSTEM_PACKAGES = {
  lab: { ip: "iproute2", nft: "nftables", bird: "bird2", "nats-server": "nats-server", gcc: "gcc", nsenter: "util-linux", ping: "iputils-ping", curl: "curl" },
  test: { conntrack: "conntrack", podman: "podman", runc: "runc" },
  cluster: { "/usr/bin/etcd": "etcd-server", containerd: "containerd", runc: "runc", "/bin/busybox": "busybox-static", iptables: "iptables", conntrack: "conntrack", debootstrap: "debootstrap", buildah: "buildah" },
  conformance: { nc: "netcat-openbsd", dig: "bind9-dnsutils", wget: "wget" },
  bench: { iperf3: "iperf3", "/usr/lib/cni/ptp": "containernetworking-plugins" },
  images: { gcc: "gcc" },
};

const PROGRAMS = {
  lab: { packages: ["lab"], build: true, script: "e2e/lab/main.ts", rootNeeded: true },
  // Where Go is, a real cluster is tested too.
  test: { packages: ["lab", "test", ...(isThere("go") || isThere("/usr/local/go/bin/go") ? ["cluster", "conformance"] : [])], build: true, script: "tools/test.ts", rootNeeded: true },
  "e2e:kubernetes": { packages: ["lab", "cluster", "conformance"], build: true, script: "e2e/conformance/main.ts", rootNeeded: true },
  "e2e:network-policy-api": { packages: ["lab", "cluster", "conformance"], build: true, script: "e2e/conformance/network-policy-api.ts", rootNeeded: true },
  bench: { packages: ["lab", "bench", ...(process.argv.includes("cluster") ? ["cluster"] : [])], build: true, script: "e2e/bench/main.ts", rootNeeded: true },
  images: { packages: ["images"], build: true, script: "e2e/images/main.ts", rootNeeded: false },
};

const [name = "", ...args] = process.argv.slice(2);
// A cluster of the user's own has its nodes elsewhere: nothing of this machine is programmed.
const isElsewhere = name === "lab" && (args.includes("--kubeconfig") || existsSync(join(process.env.CALICO_LAB_DIR ?? join(root, ".lab"), "own-cluster.json")));
const program = isElsewhere ? { ...PROGRAMS.lab, packages: [], build: false, rootNeeded: false } : PROGRAMS[name];
if (!program) fail(2, `usage: bootstrap.mjs ${Object.keys(PROGRAMS).join("|")} [arguments]`);
if (process.platform !== "linux") fail(2, `This needs Linux: it programs network namespaces, nftables and routes of the kernel. This is ${process.platform}.`);
const quick = args.includes("--help") || args.includes("-h");
if (program.rootNeeded && process.getuid() !== 0 && !quick) {
  fail(2, `This needs root: it makes network namespaces and nftables tables. Try: sudo npm ${name === "test" ? "test" : `run ${name}`}`);
}

if (!quick) installSystemPackages(program.packages.flatMap((set) => Object.entries(SYSTEM_PACKAGES[set])));
installNodeModules();
if (program.build && !quick) build();
const node = join(root, "node_modules", ".bin", "node");
const child = spawn(node, ["--disable-warning=ExperimentalWarning", join(root, program.script), ...args], { stdio: "inherit", cwd: root, env: { ...process.env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` } });
// The program cleans up before it ends; this one waits for it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128 + (osConstants.signals[signal] ?? 0))));

function installNodeModules() {
  const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json"))).digest("hex");
  const stamp = join(stampDir, "lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock && existsSync(join(root, "node_modules", ".bin", "node"))) return;
  say("installing the npm packages (npm ci)");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], "npm could not install the packages: see its message above.");
  mkdirSync(stampDir, { recursive: true });
  writeFileSync(stamp, lock);
}

function installSystemPackages(wanted) {
  const missing = [...new Set(wanted.filter(([probe]) => !isThere(probe)).map(([, pkg]) => pkg))];
  if (missing.includes("gcc")) missing.push("libc6-dev");
  if (missing.length === 0) return;
  if (!isThere("apt-get")) fail(2, `These packages are missing, and there is no apt-get to install them with: ${missing.join(" ")}`);
  say(`installing the system packages ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // Debian starts a service when its package is installed; here the programs are started by the lab alone.
  const policy = "/usr/sbin/policy-rc.d";
  const ownPolicy = !existsSync(policy);
  if (ownPolicy) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    run("apt-get", ["update", "-qq"], "apt-get update failed: see its message above.", env);
    run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], `apt-get could not install ${missing.join(" ")}: see its message above.`, env);
  } finally {
    if (ownPolicy) spawnSync("rm", ["-f", policy]);
  }
}

function isThere(probe) {
  const candidates = probe.startsWith("/") ? [probe] : ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((dir) => join(dir, probe));
  return candidates.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Builds the bundles when a source is newer than the last build. */
function build() {
  const stamp = join(stampDir, "built");
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  const bundles = [...readdirSync(join(root, "services")).map((service) => join("services", service)), "calicoctl"].map((dir) => join(root, dir, "dist", "main.mjs"));
  if (bundles.every(existsSync) && newestSource(["libs", "services", "calicoctl"].map((dir) => join(root, dir))) < built) return;
  say("building the services");
  const nx = join(root, "node_modules", ".bin", "nx");
  run(nx, ["run-many", "-t", "build", "--output-style=static"], "The build failed: see above.", { ...process.env, NX_DAEMON: "false", PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` }, true);
  writeFileSync(stamp, "");
}

function newestSource(folders) {
  let newest = 0;
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.name === "node_modules" || entry.name === "dist") continue;
      const path = join(folder, entry.name);
      newest = Math.max(newest, entry.isDirectory() ? newestSource([path]) : statSync(path).mtimeMs);
    }
  }
  return newest;
}

function run(command, parameters, message, env = process.env, quiet = false) {
  const result = spawnSync(command, parameters, { cwd: root, env, encoding: "utf8", stdio: quiet ? "pipe" : ["ignore", "ignore", "inherit"] });
  if (result.status === 0) return;
  if (quiet) process.stderr.write(`${result.stdout}${result.stderr}`);
  fail(1, message);
}

function say(text) {
  process.stderr.write(`calico: ${text}\n`);
}

function fail(code, text) {
  process.stderr.write(`calico: ${text}\n`);
  process.exit(code);
}
