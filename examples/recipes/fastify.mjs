import Fastify from 'fastify';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY.trim());
const app = Fastify({ bodyLimit: 2 << 20 }); // bytes

// In a scope of its own the parsers of other routes stay as they are.
app.register(async (scope) => {
  scope.removeAllContentTypeParsers(); // or JSON would be parsed, and a form refused with 415
  scope.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => done(null, body));

  scope.post('/webhooks', async (request, reply) => {
    try {
      await verifier.verify(request.body, request.headers);
    } catch (err) {
      return reply.code(401).send(`${err.message}\n`);
    }
    if (request.headers['content-type']?.startsWith('application/json')) { // TeXML sends forms
      const { data } = JSON.parse(request.body);
      console.log(data?.event_type);
    }
    return 'done\n'; // when the effect is durable; an exception is a 500
  });
});

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 5000) });
