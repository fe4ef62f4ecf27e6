// The gateway of one run: carries what its sandbox declared, in and out, and tells sjs of every connection. It stands
// in a container of its own, on the run's network and on one that leads out. Node's builtins only; what it says is
// checked again outside.
//
// Argument: a {@link Config} as JSON. Says a line of JSON each: {"ready":true}, {"connection":{…}}, and when its input
// ends {"end":true,"omitted":n}.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { createDoors } from './doors.js';
import type { Flow } from './flow.js';
import { createNameServer } from './names.js';
import { findRouter, isNeighbour } from './neighbours.js';
import { Report, say } from './report.js';
import { createRoute, type Rule } from './route.js';
import { takeIn } from './take-in.js';
import { takeOut } from './take-out.js';
import { createWebServer } from './web.js';

interface Config {
  /** Its own address on the run's network, and the sandbox's. */
  readonly inside: string;
  readonly sandbox: string;
  /** Public addresses of the machine, where no name may lead. */
  readonly host: readonly string[];
  readonly egress: readonly Rule[];
  /** Ports of the sandbox that are published. */
  readonly ports: readonly number[];
  /** Connections told at most. */
  readonly most: number;
}

/**
 * Connections at a time, in each direction: each can cost two thirds of a megabyte, of what one side sends and the other
 * does not take.
 */
const MOST_OPEN = 150;

const config = JSON.parse(process.argv.at(-1) ?? '') as Config;
const report = new Report(config.most);
const doors = createDoors(report, MOST_OPEN);
const web = createWebServer();
const find = createRoute(config.egress, config.host);

/** The network that leads out, and where it does. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal, address }) => family === 'IPv4' && !internal && address !== config.inside);
const router = findRouter(readFileSync('/proc/net/route', 'utf8'));

function fromInside(flow: Flow, port: number): void {
  if (flow.client.remoteAddress !== config.sandbox) return flow.block('not from the sandbox');
  const names = config.egress.filter((rule) => rule.port === port).map(({ name }) => name);
  takeOut(flow, port, names, find, web);
}

function fromOutside(flow: Flow, port: number): void {
  const { remoteAddress = '' } = flow.client;
  flow.address = remoteAddress;
  if (isNeighbour(remoteAddress, outside, router))
    return flow.block('from a neighbour on the network that leads out');
  void takeIn(flow, port, config.sandbox);
}

function serveNames(): Promise<void> {
  const declared = new Set(config.egress.map(({ name }) => name));
  const answer = createNameServer(declared, config.inside, report, config.most);
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const answered = answer(message);
    if (answered) socket.send(answered, from.port, from.address, () => undefined);
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(53, config.inside, () => {
      // An answer that cannot be sent is asked for again.
      socket.off('error', reject).on('error', () => undefined);
      resolve();
    });
  });
}

async function main(): Promise<void> {
  const outPorts = [...new Set(config.egress.map(({ port }) => port))];
  const { inside, ports } = config;
  await Promise.all([
    serveNames(),
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
