/** The command line of `npm run images`. Pure. */

/** Every image there is, in the order in which they are built: those that share most come first. */
export const COMPONENTS = ["felix", "bird", "cni", "ipam", "typha", "kube-controllers", "calicoctl", "nats"] as const;
export type ComponentName = (typeof COMPONENTS)[number];

export const BUILDERS = ["podman", "buildah", "docker"] as const;
export type BuilderName = (typeof BUILDERS)[number];

/** Where images are named when nobody says otherwise: no registry, this machine alone. */
export const LOCAL_REGISTRY = "localhost/calico";

export type ImageOptions = {
  readonly components: readonly ComponentName[];
  readonly registry: string;
  /** Null: the version of the project. */
  readonly tag: string | null;
  /** Null: the first of podman, buildah and docker that works here. */
  readonly builder: BuilderName | null;
  /** Image of Debian 12 to begin with; null: the official one, or one made here where no registry answers. */
  readonly debian: string | null;
  readonly saveDir: string | null;
  readonly push: boolean;
  /** Downloads Debian's packages again, for their security fixes. */
  readonly fresh: boolean;
};

export type Command = { readonly verb: "help" } | { readonly verb: "build"; readonly options: ImageOptions; readonly json: boolean };

/** A question that cannot be answered; the program prints it and ends with exit code 2. */
export class UsageError extends Error {}

export const USAGE = `Builds the container images of the components.

  npm run images                         every image, as ${LOCAL_REGISTRY}/COMPONENT:VERSION
  npm run images -- [COMPONENT...] [OPTION...]

COMPONENT is one of ${COMPONENTS.join(", ")}.

  --registry R     name them R/COMPONENT, for instance registry.example.com/calico
  --tag T          instead of the project's version
  --save DIR       also write DIR/calico-images.tar, which "ctr -n k8s.io images import" and "docker load" read
  --push           push them to the registry
  --builder B      podman, buildah or docker; otherwise the first of them that works here
  --debian IMAGE   image of Debian 12 to begin with; otherwise docker.io/library/debian:bookworm-slim, or one that is
                   made with debootstrap where no registry answers
  --fresh          download Debian's packages again, for their security fixes
  -o json          print what was built as JSON

An image whose content did not change is left as it is. Exit codes: 0 done, 1 failed, 2 bad question.`;

const FLAGS = ["--registry", "--tag", "--save", "--push", "--builder", "--debian", "--fresh", "-o"];

/** Reads the arguments after `npm run images --`. Throws UsageError with the remedy. */
export function parseArguments(argv: readonly string[]): Command {
  const components = new Set<ComponentName>();
  let registry = LOCAL_REGISTRY;
  let tag: string | null = null;
  let builder: BuilderName | null = null;
  let debian: string | null = null;
  let saveDir: string | null = null;
  let push = false;
  let fresh = false;
  let json = false;
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? "";
    const value = (): string => valueOf(argument, argv[++index]);
    if (argument === "--help" || argument === "-h" || argument === "help") return { verb: "help" };
    else if (argument === "--registry") registry = registryName(value());
    else if (argument === "--tag") tag = tagName(value());
    else if (argument === "--builder") builder = oneOf(argument, value(), BUILDERS);
    else if (argument === "--debian") debian = value();
    else if (argument === "--save") saveDir = value();
    else if (argument === "--push") push = true;
    else if (argument === "--fresh") fresh = true;
    else if (argument === "-o") json = oneOf(argument, value(), ["json"]) === "json";
    else if (argument.startsWith("-")) throw new UsageError(`there is no option ${argument}; there are ${FLAGS.join(", ")}`);
    else components.add(oneOf("the component", argument, COMPONENTS));
  }
  if (push && registry === LOCAL_REGISTRY) throw new UsageError("--push needs --registry: the name of a registry, for instance registry.example.com/calico");
  const wanted = COMPONENTS.filter((name) => components.size === 0 || components.has(name));
  return { verb: "build", options: { components: wanted, registry, tag, builder, debian, saveDir, push, fresh }, json };
}

function valueOf(flag: string, value: string | undefined): string {
  if (value === undefined || value === "" || value.startsWith("-")) throw new UsageError(`${flag} needs a value`);
  return value;
}

function oneOf<const T extends string>(what: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found === undefined) throw new UsageError(`${what}: ${JSON.stringify(value)} is not one of ${allowed.join(", ")}`);
  return found;
}

function registryName(value: string): string {
  if (!/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/.test(value)) throw new UsageError(`--registry: ${JSON.stringify(value)} is no name of a registry; write HOST[:PORT][/PATH] in lower case, without https://`);
  return value;
}

function tagName(value: string): string {
  if (!/^[\w][\w.-]{0,127}$/.test(value)) throw new UsageError(`--tag: ${JSON.stringify(value)} is no tag`);
  return value;
}
