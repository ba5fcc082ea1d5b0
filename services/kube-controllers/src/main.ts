/** The process. */
import { describeError, serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";

const [command] = process.argv.slice(2);
if (command === "prepare") {
  const { prepare } = await import("./prepare.ts");
  try {
    await prepare(process.env);
  } catch (error) {
    process.stderr.write(`the cluster could not be prepared: ${describeError(error)}\n`);
    process.exitCode = 1;
  }
} else {
  await serviceMain(description, async () => (await import("./daemon.ts")).buildKubeControllers(process.env));
}
