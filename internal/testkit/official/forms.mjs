// forms.mjs hands one genuine webhook to unwrap in the forms that frameworks have
// it in: forms.mjs CLIENT import|require KEY BODY TIMESTAMP SIGNATURE. It prints a
// line of JSON: for each form "ok", or the first words of the error.
import { createRequire } from "node:module";

const [client, how, key, body, timestamp, signature] = process.argv.slice(2);
const { default: Telnyx } = how === "import" ? await import(client) : createRequire(import.meta.url)(client);
const headers = { "telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp };
const forms = {
  text: [key, body, headers],
  Buffer: [key, Buffer.from(body), headers],
  Uint8Array: [key, new TextEncoder().encode(body), headers],
  Headers: [key, body, new Headers(headers)],
  "object from Headers": [key, body, Object.fromEntries(new Headers(headers))],
  "key with a newline": [key + "\n", body, headers],
};
const results = {};
for (const [name, [key, body, headers]] of Object.entries(forms)) {
  try {
    await new Telnyx({ apiKey: "x", publicKey: key }).webhooks.unwrap(body, { headers, key });
    results[name] = "ok";
  } catch (e) {
    results[name] = e.message.slice(0, 60).split("\n")[0];
  }
}
console.log(JSON.stringify(results));
