import { expect, it } from "vitest";
import { COMPONENTS, parseArguments, UsageError } from "./arguments.ts";

const defaults = { components: COMPONENTS, registry: "localhost/calico", tag: null, builder: null, debian: null, saveDir: null, push: false, fresh: false };

it("builds everything when nothing is said", () => {
  expect(parseArguments([])).toEqual({ verb: "build", options: defaults, json: false });
});

it("takes every option, and components in the order in which they are built", () => {
  const argv = ["nats", "felix", "felix", "--registry", "registry.example.com:5000/net", "--tag", "v1", "--builder", "docker", "--debian", "mirror/debian:12", "--save", "out", "--push", "--fresh", "-o", "json"];
  expect(parseArguments(argv)).toEqual({
    verb: "build", json: true,
    options: { components: ["felix", "nats"], registry: "registry.example.com:5000/net", tag: "v1", builder: "docker", debian: "mirror/debian:12", saveDir: "out", push: true, fresh: true },
  });
  expect(parseArguments(["felix", "--help"])).toEqual({ verb: "help" });
});

it.each([
  [["node"], 'the component: "node" is not one of felix, bird, cni, ipam, typha, kube-controllers, calicoctl, nats'],
  [["--registy", "x"], "there is no option --registy; there are --registry, --tag, --save, --push, --builder, --debian, --fresh, -o"],
  [["--registry"], "--registry needs a value"],
  [["--save", "--push"], "--save needs a value"],
  [["--registry", "https://x"], '--registry: "https://x" is no name of a registry; write HOST[:PORT][/PATH] in lower case, without https://'],
  [["--tag", "a b"], '--tag: "a b" is no tag'],
  [["--builder", "kaniko"], '--builder: "kaniko" is not one of podman, buildah, docker'],
  [["-o", "yaml"], '-o: "yaml" is not one of json'],
  [["--push"], "--push needs --registry: the name of a registry, for instance registry.example.com/calico"],
])("refuses %j with the remedy", (argv, message) => {
  expect(() => parseArguments(argv)).toThrow(new UsageError(message));
});
