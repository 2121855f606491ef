// Verify a webhook by Standard Webhooks: node examples/verify_webhook.ts <id> <timestamp> <signature> < body
//
// Reads WEBHOOK_SECRET (`whsec_…`). Prints the event's type; ends with 1 if the webhook is not genuine. Needs Node 22.18
// (older: compile it).

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const TOLERANCE_SECONDS = 300;

type Webhook = { secret: string; id: string; timestamp: string; signatures: string; body: Buffer };

// `body` is the raw body, before any parsing.
export function isGenuine({ secret, id, timestamp, signatures, body }: Webhook): boolean {
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const wanted = Buffer.from(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  return signatures.split(" ").some((each) => each.length === wanted.length && timingSafeEqual(Buffer.from(each), wanted));
}

const [id, timestamp, signatures] = process.argv.slice(2);
const body = readFileSync(0);
if (isGenuine({ secret: process.env.WEBHOOK_SECRET ?? "", id, timestamp, signatures, body })) {
  console.log(JSON.parse(body.toString()).type);
} else {
  console.error("not genuine");
  process.exitCode = 1;
}
