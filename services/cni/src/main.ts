/** The process. */
import { serviceMain } from "@calico/service-kit";
import { description } from "./config.ts";
import { buildCni } from "./daemon.ts";

await serviceMain(description, () => buildCni(process.env));
