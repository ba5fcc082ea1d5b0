/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildBird } from "./daemon.ts";

await serviceMain(description, () => buildBird(process.env));
