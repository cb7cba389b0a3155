// fetch.mjs in a server of Hono.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { webhook } from './fetch.mjs';

const app = new Hono();

app.post('/webhooks', (c) => webhook(c.req.raw)); // an exception is a 500

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT ?? 5000) });
