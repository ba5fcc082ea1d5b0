/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildFelix } from "./daemon.ts";

await serviceMain(description, () => buildFelix(process.env));
