import { KernelError, type Link, type RtnetlinkHandlers } from "@calico/kernel";
import { expect, it } from "vitest";
import { createRoutes } from "./routes.ts";

it("tries again to set a route that went with its link, and calls it missing until then", () => {
  const link = { name: "calitest", index: 7, up: true } as Link;
  let handlers: RtnetlinkHandlers | undefined;
  let failure: KernelError | null = null;
  const set: string[] = [];
  using routes = createRoutes({
    log: { warn() {} }, onDrift() {},
    rtnetlink: {
      subscribe(given) {
        handlers = given;
        return { [Symbol.dispose]() {} };
      },
      listRoutes: () => [],
      getLink: () => link,
      applyRoutes({ replace = [], remove = [] }) {
        set.push(...replace.map(({ destination }) => `${destination}${failure === null ? "" : " failed"}`));
        return { replaced: replace.map(() => failure), removed: remove.map(() => null) };
      },
      [Symbol.dispose]() {},
    },
  });
  const missing = (): string | null => {
    routes.apply();
    return routes.missing(link.name);
  };
  routes.setInterface(link.name, ["10.65.0.1"]);
  expect(missing()).toBeNull();
  handlers?.onLink?.({ ...link, up: false }, true);
  failure = new KernelError("set route 10.65.0.1/32", 105, "no buffer space");
  expect(missing()).toContain("no buffer space");
  failure = null;
  expect([missing(), set]).toEqual([null, ["10.65.0.1/32", "10.65.0.1/32 failed", "10.65.0.1/32"]]);
});
