// examples/recipes/fetch.mjs in a server of h3, which Nuxt and Nitro have.
import { H3, serve } from 'h3';
import { webhook } from './fetch.mjs';

const app = new H3();

app.post('/webhooks', (event) => webhook(event.req));

serve(app, { hostname: '127.0.0.1', port: Number(process.env.PORT), silent: true });
