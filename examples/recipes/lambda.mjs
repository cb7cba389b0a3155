// For a function URL, an API Gateway or a load balancer: they call handler with the
// request in an object.
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY.trim());

export async function handler(event) {
  // A form comes in base64, and so does JSON from some of them.
  const body = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8').toString('utf8');
  try {
    await verifier.verify(body, event.headers);
  } catch (err) {
    return { statusCode: 401, body: `${err.message}\n` };
  }
  // Names of headers are as the sender wrote them, or in lower case.
  const [, type = ''] = Object.entries(event.headers).find(([name]) => name.toLowerCase() === 'content-type') ?? [];
  if (type.startsWith('application/json')) { // TeXML sends forms
    const { data } = JSON.parse(body);
    console.log(data?.event_type);
  }
  return { statusCode: 200, body: 'done\n' }; // when the effect is durable; an exception is a 5xx
}
