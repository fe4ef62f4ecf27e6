import { createRequire } from 'node:module';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import * as cheerio from 'cheerio';
import compression from 'compression';
import cors from 'cors';
import express from 'express';
import Handlebars from 'handlebars';
import helmet from 'helmet';
import lodash from 'lodash';
import { DateTime } from 'luxon';
import markdownIt from 'markdown-it';
import morgan from 'morgan';
import sanitizeHtml from 'sanitize-html';
import { stringify } from 'yaml';
import { z } from 'zod';

const { version } = createRequire(import.meta.url)('express/package.json');

const ajv = new Ajv({ allErrors: true });
addFormats(ajv);
const isOrder = ajv.compile({
  type: 'object',
  required: ['customer', 'lines'],
  additionalProperties: false,
  properties: {
    customer: { type: 'string', format: 'email' },
    lines: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['item', 'count', 'price'],
        properties: {
          item: { type: 'string' },
          count: { type: 'integer', minimum: 1 },
          price: { type: 'number' },
        },
      },
    },
  },
});

const zoneQuery = z.object({ zone: z.string().regex(/^[A-Za-z_]+(?:\/[A-Za-z_]+)*$/) });
const page = Handlebars.compile('<article><h1>{{title}}</h1>{{{body}}}</article>');
const markdown = markdownIt({ html: true });

/** The whole API. `log` takes a line for each request. */
export function createApp(log) {
  const app = express();
  app.use(helmet(), cors(), compression(), express.json({ limit: '64kb' }));
  app.use(morgan(':method :url :status', { stream: { write: log } }));

  app.post('/orders', (request, response) => {
    if (!isOrder(request.body)) {
      response.status(400).json({ errors: ajv.errorsText(isOrder.errors, { separator: '\n' }).split('\n') });
      return;
    }
    const { customer, lines } = request.body;
    const byItem = lodash.mapValues(lodash.groupBy(lines, 'item'), (same) => lodash.sumBy(same, 'count'));
    response
      .status(201)
      .json({ customer, byItem, total: lodash.sumBy(lines, (line) => line.count * line.price) });
  });

  app.post('/pages', (request, response) => {
    const body = sanitizeHtml(markdown.render(String(request.body.text)));
    const html = page({ title: request.body.title, body });
    const links = cheerio
      .load(html)('a')
      .map((_, link) => link.attribs.href)
      .get();
    response.json({ html, links });
  });

  app.get('/time', (request, response) => {
    const query = zoneQuery.safeParse(request.query);
    const time = query.success && DateTime.fromISO('2024-02-29T12:00:00Z').setZone(query.data.zone);
    if (!time || !time.isValid) response.status(400).json({ error: 'no such zone' });
    else response.json({ time: time.toISO(), weekday: time.setLocale('en').weekdayLong });
  });

  app.get('/about', (_request, response) => {
    response.type('application/yaml').send(stringify({ api: { name: 'express-api', express: version } }));
  });
  return app;
}
