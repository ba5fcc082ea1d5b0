import { expect, it } from "vitest";
import { errorFromStatus } from "./errors.ts";

it("tells a missing kind from a missing object", () => {
  expect(errorFromStatus(404, { message: "404 page not found" }, "list tiers")).toMatchObject({
    code: "NotFound", message: "list tiers: 404 page not found; the API server does not know this kind: are its CustomResourceDefinitions there (helm upgrade applies them)?",
  });
  expect(errorFromStatus(404, { kind: "Status", reason: "NotFound", message: 'tiers "a" not found' }, "get tiers/a")).toMatchObject({ code: "NotFound", message: 'get tiers/a: tiers "a" not found' });
});
