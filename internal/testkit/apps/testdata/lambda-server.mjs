// Calls the handler of a Lambda function as API Gateway (payload format 2.0) and a
// load balancer do: with the body in base64 or not, and with names of headers in
// lower case or not. An exception is a 502, as there.
import { createServer } from 'node:http';
import { handler } from './lambda.mjs';

let requests = 0;

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const form = !request.headers['content-type']?.startsWith('application/json');
  const isBase64Encoded = form || requests++ % 2 === 1;
  const headers = {};
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i];
    headers[form ? name : name.toLowerCase()] = request.rawHeaders[i + 1];
  }
  try {
    const answer = await handler({
      version: '2.0',
      rawPath: request.url,
      headers,
      body: body.toString(isBase64Encoded ? 'base64' : 'utf8'),
      isBase64Encoded,
    });
    response.writeHead(answer.statusCode).end(answer.body);
  } catch (err) {
    console.error(err);
    response.writeHead(502).end('Internal Server Error\n');
  }
}).listen(Number(process.env.PORT), '127.0.0.1');
