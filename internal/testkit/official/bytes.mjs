// bytes.mjs hands one genuine webhook to constructEvent of telnyx 2, with key and
// signature as text and as bytes: bytes.mjs KEY BODY TIMESTAMP SIGNATURE. It prints a
// line of JSON: for each form "ok", or the first words of the error.
import { createRequire } from "node:module";

const [key, body, timestamp, signature] = process.argv.slice(2);
const telnyx = createRequire(import.meta.url)("telnyx-2.1").default("x");
const bytes = (text) => Buffer.from(text, "base64");
const forms = {
  text: [body, signature, key],
  "signature in bytes": [body, bytes(signature), key],
  "key in bytes": [body, signature, bytes(key)],
  bytes: [body, bytes(signature), bytes(key)],
  "bytes, body in a Buffer": [Buffer.from(body), bytes(signature), bytes(key)],
};
const results = {};
const print = console.log;
console.log = () => {}; // telnyx prints what tweetnacl throws
for (const [name, [body, signature, key]] of Object.entries(forms)) {
  try {
    telnyx.webhooks.constructEvent(body, signature, timestamp, key);
    results[name] = "ok";
  } catch (e) {
    results[name] = e.message.slice(0, 60);
  }
}
print(JSON.stringify(results));
