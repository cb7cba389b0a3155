import express from 'express';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY.trim());
const app = express();

// Before any app.use(express.json()): what that has parsed cannot be verified. Without
// "type" it takes JSON only, and without "limit" a body over 100 kB is a 413.
const raw = express.raw({ type: () => true, limit: '2mb' });

app.post('/webhooks', raw, async (request, response, next) => {
  try {
    const body = request.body.toString('utf8');
    try {
      await verifier.verify(body, request.headers);
    } catch (err) {
      return response.status(401).send(`${err.message}\n`);
    }
    if (request.is('json')) { // TeXML sends forms
      const { data } = JSON.parse(body);
      console.log(data?.event_type);
    }
    response.send('done\n'); // when the effect is durable: after this it is not sent again
  } catch (err) {
    next(err); // a 500; Express 4 would end the process, Express 5 does this by itself
  }
});

app.listen(Number(process.env.PORT ?? 5000), '127.0.0.1');
