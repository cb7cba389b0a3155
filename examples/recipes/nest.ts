import 'reflect-metadata';
import { Controller, HttpCode, Module, Post, Req, UnauthorizedException, type RawBodyRequest } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Request } from 'express';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const verifier = new TelnyxWebhook(process.env.TELNYX_PUBLIC_KEY!.trim());

@Controller('webhooks')
class WebhooksController {
  @Post()
  @HttpCode(200)
  async receive(@Req() request: RawBodyRequest<Request>): Promise<string> {
    const body = request.rawBody!.toString('utf8'); // what was signed; request.body is not
    try {
      await verifier.verify(body, request.headers as Record<string, string>);
    } catch (err) {
      throw new UnauthorizedException((err as Error).message);
    }
    if (request.is('json')) { // TeXML sends forms
      console.log(request.body.data?.event_type);
    }
    return 'done\n'; // when the effect is durable; an exception is a 500
  }
}

@Module({ controllers: [WebhooksController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { rawBody: true, logger: ['error', 'warn'] });
app.useBodyParser('json', { limit: '2mb' }); // over 100 kB it would be a 413
app.useBodyParser('urlencoded', { limit: '2mb', extended: true });
await app.listen(Number(process.env.PORT ?? 5000), '127.0.0.1');
