// The handler for every framework that speaks Request and Response: Next, Hono,
// SvelteKit, Astro, Nuxt and h3, Bun, Deno, Cloudflare Workers. README.md beside it
// says where each of them wants it; hono.mjs is a server with it.
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY.trim()); // a line feed at its end is refused

export async function webhook(request) {
  const body = await request.text(); // what was signed; request.json() is not
  try {
    // The SDK finds nothing in Headers: it has to be an object.
    await verifier.verify(body, Object.fromEntries(request.headers));
  } catch (err) {
    return new Response(`${err.message}\n`, { status: 401 });
  }
  if (request.headers.get('content-type')?.startsWith('application/json')) { // TeXML sends forms
    const { data } = JSON.parse(body);
    console.log(data?.event_type);
  }
  return new Response('done\n'); // when the effect is durable: after this it is not sent again
}
