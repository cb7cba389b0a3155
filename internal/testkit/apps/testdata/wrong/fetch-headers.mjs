// The SDK finds nothing in Headers.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = new Hono();
app.post('/webhooks', async (c) => {
  try {
    await verifier.verify(await c.req.text(), c.req.raw.headers);
  } catch (err) {
    return c.text(err.message, 401);
  }
  return c.text('done');
});
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT) });
