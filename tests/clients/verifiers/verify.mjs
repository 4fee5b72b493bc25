// What the JavaScript of docs/verify-webhooks.md, and jose, say of what was received: one answer per case.
import { readFileSync } from "node:fs";
import { verifyJWS, verifyWebhook } from "./own.mjs";
import { verifyWithJose } from "./jose.mjs";

const succeeds = (promise) => promise.then(() => true, () => false);

const answers = [];
for (const { headers, body, key, now } of JSON.parse(readFileSync(0, "utf8"))) {
  const received = Buffer.from(body, "base64");
  answers.push({
    webhook: verifyWebhook(headers, received, key, now),
    jws: verifyJWS(headers, received, key),
    jose: await succeeds(verifyWithJose(headers["x-jws-signature"], received, key)),
  });
}
console.log(JSON.stringify(answers));
