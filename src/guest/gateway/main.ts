// The gateway of one run: carries what its sandbox declared, in and out, and tells sjs of every connection. It stands
// in a container of its own, on the run's network and on one that leads out. Node's builtins only; what it says is
// checked again outside.
//
// Argument: a {@link Config} as JSON. Says a line of JSON each: {"ready":true}, {"connection":{…}}, and when its input
// ends {"end":true,"omitted":n}.
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from './config.js';
import { createDoors } from './doors.js';
import type { Flow } from './flow.js';
import { findRouter, isNeighbour } from './neighbours.js';
import { Report, say } from './report.js';
import { createRoute } from './route.js';
import { serveNames } from './serve-names.js';
import { takeIn } from './take-in.js';
import { takeOut, type Outward } from './take-out.js';
import { Turns } from './turns.js';
import { createWebServer } from './web.js';

/**
 * Connections at a time, in each direction: each can cost two thirds of a megabyte, of what one side sends and the other
 * does not take.
 */
const MOST_OPEN = 150;

const config = JSON.parse(process.argv.at(-1) ?? '') as Config;
const report = new Report(config.most);
const doors = createDoors(report, MOST_OPEN);
/**
 * Connections a second that lead out, after the first ones: the machine's table of connections remembers each for two
 * minutes, and has room for some hundred thousand of everybody.
 */
const turns = new Turns(100, 1000);
const turn = async (): Promise<void> => {
  const waitMs = turns.take(performance.now());
  if (waitMs > 0) await delay(waitMs);
};
const outward: Outward = {
  route: createRoute(config.egress, config.host),
  web: createWebServer(turn),
  turn,
};

/** The network that leads out, and where it does. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal, address }) => family === 'IPv4' && !internal && address !== config.inside);
const router = findRouter(readFileSync('/proc/net/route', 'utf8'));

function fromInside(flow: Flow, port: number): void {
  if (flow.client.remoteAddress !== config.sandbox) return flow.block('not from the sandbox');
  const names = config.egress.filter((rule) => rule.port === port).map(({ name }) => name);
  takeOut(flow, port, names, outward);
}

function fromOutside(flow: Flow, port: number): void {
  const { remoteAddress = '' } = flow.client;
  flow.address = remoteAddress;
  if (isNeighbour(remoteAddress, outside, router))
    return flow.block('from a neighbour on the network that leads out');
  void takeIn(flow, port, config.sandbox);
}

async function main(): Promise<void> {
  const outPorts = [...new Set(config.egress.map(({ port }) => port))];
  const { inside, ports } = config;
  await Promise.all([
    serveNames(config, report),
    ...outPorts.map((port) => doors.open('out', port, inside, (flow) => fromInside(flow, port))),
    ...ports.map((port) =>
      doors.open('in', port, outside?.address ?? '0.0.0.0', (flow) => fromOutside(flow, port)),
    ),
  ]);
  say({ ready: true });
}

// sjs has heard enough, or is gone: nothing passes that nobody hears of.
function leave(): void {
  doors.finish();
  report.end();
  process.exit(0);
}
process.stdin.once('end', leave).once('error', leave);
process.stdin.resume();
void main();
