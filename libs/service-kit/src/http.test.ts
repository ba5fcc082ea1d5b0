import { afterEach, expect, test } from "vitest";
import { createFakeClock } from "./clock.ts";
import { createHealth } from "./health.ts";
import { healthRoutes, metricsRoutes, PortInUseError, startHttp, type HttpListener } from "./http.ts";
import { createMetrics } from "./metrics.ts";

const open: HttpListener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

async function serve(routes: Parameters<typeof startHttp>[0]["routes"], port = 0): Promise<HttpListener> {
  const listener = await startHttp({ host: "127.0.0.1", port, routes, portParameter: "FELIX_HEALTHPORT" });
  open.push(listener);
  return listener;
}

test("liveness and readiness say in words what is missing", async () => {
  const health = createHealth(createFakeClock());
  health.register("sync", { liveTimeoutMs: false, ready: true });
  const { port } = await serve(healthRoutes(health));
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  expect(await get("/liveness")).toEqual([200, "live\n"]);
  expect(await get("/readiness?verbose")).toEqual([503, "sync: has not reported yet\n"]);
  health.report("sync", { ready: true });
  expect(await get("/readiness")).toEqual([200, "ready\n"]);
  expect((await get("/nothing"))[0]).toBe(404);
  expect(JSON.parse((await get("/health"))[1])).toMatchObject({ sync: { ready: true } });
});

test("metrics carry the service's name", async () => {
  const metrics = createMetrics("felix");
  metrics.counter("calico_test_total", "A test.", ["kind"]).inc({ kind: "x" }, 2);
  metrics.sampled("calico_sampled", "Read when scraped.", () => 7);
  const { port } = await serve(metricsRoutes(metrics.registry));
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(text).toContain('calico_test_total{kind="x",service="felix"} 2');
  expect(text).toContain('calico_sampled{service="felix"} 7');
  expect(text).toContain("process_resident_memory_bytes");
});

test("a port in use is named together with the parameter to change", async () => {
  const { port } = await serve({});
  const second = serve({}, port);
  await expect(second).rejects.toThrow(PortInUseError);
  await expect(second).rejects.toThrow(`port ${port} on 127.0.0.1 is in use by another process; free it or set FELIX_HEALTHPORT`);
});
