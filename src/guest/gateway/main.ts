// The gateway of one run: carries what its sandbox declared, in and out, and tells sjs of every connection. It stands
// in a container of its own, on the run's network and on one that leads out. Node's builtins only; what it says is
// checked again outside.
//
// Argument: a {@link Config} as JSON. Says a line of JSON each: {"ready":true}, {"connection":{…}}, and when its input
// ends {"end":true,"omitted":n}.
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from './config.js';
import { Flow } from './flow.js';
import { Report, say } from './report.js';
import { createRoute } from './route.js';
import { serveNames } from './serve-names.js';
import { findOutside, takeIn } from './take-in.js';
import { takeOut, type Outward } from './take-out.js';
import { Turns } from './turns.js';
import { createWebServer } from './web.js';

const config = JSON.parse(process.argv.at(-1) ?? '') as Config;
const report = new Report(config.most);

/** Connections at a time: each costs two descriptors. */
const MOST_OPEN = 1000;
/**
 * Connections a second that lead out, after the first ones: the machine's table of connections remembers each for two
 * minutes, and has room for some hundred thousand of everybody.
 */
const turns = new Turns(100, 1000);
const turn = async (): Promise<void> => {
  const waitMs = turns.take(performance.now());
  if (waitMs > 0) await delay(waitMs);
};
const outward: Outward = { route: createRoute(config.egress), web: createWebServer(turn), turn };
const outside = findOutside(config.inside);

const open = new Set<Flow>();

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, 1024, resolve);
  });
}

function serve(
  direction: 'in' | 'out',
  port: number,
  host: string,
  take: (flow: Flow) => void,
): Promise<void> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    const flow = new Flow(client, direction, port, report);
    if (open.size >= MOST_OPEN) return flow.block('too many connections at a time');
    open.add(flow);
    client.once('close', () => open.delete(flow));
    take(flow);
  });
  return listen(server, port, host);
}

async function main(): Promise<void> {
  const outPorts = [...new Set(config.egress.map(({ port }) => port))];
  await Promise.all([
    serveNames(config, report),
    ...outPorts.map((port) => {
      const names = config.egress.filter((rule) => rule.port === port).map(({ name }) => name);
      return serve('out', port, config.inside, (flow) => {
        if (flow.client.remoteAddress !== config.sandbox) return flow.block('not from the sandbox');
        takeOut(flow, port, names, outward);
      });
    }),
    ...config.ports.map((port) =>
      serve(
        'in',
        port,
        outside?.address ?? '0.0.0.0',
        (flow) => void takeIn(flow, port, config.sandbox, outside),
      ),
    ),
  ]);
  say({ ready: true });
}

// sjs has heard enough, or is gone: nothing passes that nobody hears of.
process.stdin.once('end', () => {
  for (const flow of open) flow.finish();
  report.end();
  process.exit(0);
});
process.stdin.resume();
void main();
