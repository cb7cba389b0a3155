// Fastify's own parser: the body is an object, and a form a 415.
import Fastify from 'fastify';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY);
const app = Fastify();
app.post('/webhooks', async (request, reply) => {
  try {
    await verifier.verify(JSON.stringify(request.body), request.headers);
  } catch (err) {
    return reply.code(401).send({ error: err.message });
  }
  return 'done';
});
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
