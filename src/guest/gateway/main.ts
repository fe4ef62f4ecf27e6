// The gateway of one run: carries what its sandbox declared, in and out, and tells sjs of every connection. It stands
// in a container of its own, on the run's network and on one that leads out. Node's builtins only; what it says is
// checked again outside.
//
// Argument: a {@link Config} as JSON. Says a line of JSON each: {"ready":true}, {"connection":{…}}, and when its input
// ends {"end":true,"omitted":n}.
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isPublicAddress } from './addresses.js';
import { readServerName } from './client-hello.js';
import { recognize } from './first-bytes.js';
import { connectTo, Flow, join } from './flow.js';
import { answerQuery, readQuery } from './name-query.js';
import { Report, say } from './report.js';
import { createWebServer, Refused } from './web.js';

interface Config {
  /** Its own address on the run's network, and the sandbox's. */
  readonly inside: string;
  readonly sandbox: string;
  readonly egress: readonly {
    readonly name: string;
    readonly port: number;
    readonly address: string | null;
  }[];
  /** Ports of the sandbox that are published. */
  readonly ports: readonly number[];
  /** Connections told at most. */
  readonly most: number;
}

const config = JSON.parse(process.argv.at(-1) ?? '') as Config;
const report = new Report(config.most);
const web = createWebServer();

/** Connections at a time: each can cost two thirds of a megabyte, of what one side sends and the other does not take. */
const MOST_OPEN = 200;
/** Bytes until it is clear who is meant. */
const LONGEST_HEAD = 64 * 1024;
/** How long that may take. */
const HEAD_MS = 10_000;
/** A client that says nothing for so long waits for the server to speak first. */
const SILENCE_MS = 250;
const LOOKUP_MS = 10_000;
/** unrecognized_name, fatal (RFC 6066 3). */
const TLS_ALERT = Buffer.from([21, 3, 1, 0, 2, 2, 112]);

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

const resolved = new Map<string, Promise<readonly string[]>>();

/** What a name means, asked once a run: what was looked at is what is connected to. */
function resolve(name: string): Promise<readonly string[]> {
  const known = resolved.get(name);
  if (known) return known;
  const asking = lookUp(name);
  resolved.set(name, asking);
  // What failed may be asked again.
  asking.catch(() => resolved.delete(name));
  return asking;
}

async function lookUp(name: string): Promise<readonly string[]> {
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Refused('its address could not be found in time')), LOOKUP_MS).unref(),
  );
  const asked = lookup(name, { all: true, family: 4 }).catch((error: NodeJS.ErrnoException) => {
    throw new Refused(`its address could not be found (${error.code})`);
  });
  const found = (await Promise.race([asked, late])).map(({ address }) => address);
  const hidden = found.find((address) => !isPublicAddress(address));
  if (hidden !== undefined) throw new Refused(`it resolves to ${hidden}, which is no public address`);
  return found;
}

/** Where a name leads on a port. Names are compared as they are written. @throws Refused */
async function route(name: string, port: number) {
  const rule = config.egress.find((one) => one.name === name && one.port === port);
  if (!rule) throw new Refused('not declared');
  return { addresses: rule.address === null ? await resolve(name) : [rule.address], port };
}

/** One connection of the program to a declared port. */
function takeOut(flow: Flow, port: number): void {
  const { client } = flow;
  if (client.remoteAddress !== config.sandbox) return flow.block('not from the sandbox');
  const names = config.egress.filter((rule) => rule.port === port).map(({ name }) => name);
  const only = names.length === 1 ? (names[0] ?? null) : null;
  let head = Buffer.alloc(0);
  /** The server of a protocol in which it speaks first. */
  let early: Promise<Socket | null> | null = null;
  let hasSpoken = false;

  const tooLate = setTimeout(() => flow.block('it did not say who is meant'), HEAD_MS);
  const silence = setTimeout(() => {
    if (only !== null && head.length === 0) early = speakFirst(only);
  }, SILENCE_MS);
  const settle = (): void => {
    clearTimeout(tooLate);
    clearTimeout(silence);
    client.off('data', onData);
    client.pause();
  };
  client.once('close', settle);

  async function speakFirst(name: string): Promise<Socket | null> {
    clearTimeout(tooLate);
    const server = await reach(flow, name, port);
    if (server === null) return null;
    client.once('close', () => server.destroy());
    server.on('data', (chunk: Buffer) => {
      hasSpoken = true;
      if (!client.write(chunk)) {
        server.pause();
        client.once('drain', () => server.resume());
      }
    });
    server.once('end', () => client.end());
    server.once('close', () => {
      if (!client.writableEnded) client.destroy();
    });
    return server;
  }

  async function carry(name: string): Promise<void> {
    const server = early ? await early : await reach(flow, name, port);
    if (server === null) return;
    server.write(head);
    if (early) client.pipe(server);
    else join(client, server);
    client.resume();
  }

  function onData(chunk: Buffer): void {
    head = Buffer.concat([head, chunk]);
    const protocol = recognize(head);
    if (protocol === 'tls') {
      const hello = readServerName(head);
      if (hello.kind === 'more' && head.length < LONGEST_HEAD) return;
      settle();
      if (hello.kind !== 'name') {
        return flow.block(hello.kind === 'refused' ? hello.reason : 'a broken TLS hello', TLS_ALERT);
      }
      flow.name = hello.name;
      if (!names.includes(hello.name)) return flow.block('not declared', TLS_ALERT);
      return void carry(hello.name);
    }
    if (protocol === 'more' && head.length < LONGEST_HEAD) return;
    settle();
    if (protocol === 'http') {
      if (hasSpoken) return flow.block('an HTTP request to what is no HTTP server');
      // Connected ahead, and not needed: every request goes its own way.
      void early?.then((server) => server?.removeAllListeners('close').destroy());
      return web.take(flow, head, (name) => route(name, port));
    }
    if (protocol !== 'other') return flow.block('no HTTP/1 request');
    if (only === null) return flow.block('neither TLS nor HTTP, on a port that several names share');
    return void carry(only);
  }
  client.on('data', onData);
  client.once('end', () => {
    if (head.length === 0 && early === null) client.end();
  });
  client.resume();
}

/** A connection to what was declared; null, and the client is told, when there is none. */
async function reach(flow: Flow, name: string, port: number): Promise<Socket | null> {
  flow.name = name;
  try {
    const { addresses } = await route(name, port);
    flow.address = addresses[0] ?? null;
    const server = await connectTo(addresses, port);
    flow.address = server.remoteAddress ?? flow.address;
    if (!flow.client.destroyed) return server;
    server.destroy();
  } catch (error) {
    if (error instanceof Refused) flow.block(error.message);
    else {
      flow.failure = error instanceof Error ? error.message : String(error);
      flow.client.destroy();
    }
  }
  return null;
}

/** One connection from outside to a published port. */
async function takeIn(flow: Flow, port: number): Promise<void> {
  const { client } = flow;
  const from = client.remoteAddress ?? '';
  flow.address = from;
  if (isNeighbour(from)) return flow.block('from a neighbour on the network that leads out');
  try {
    join(client, await connectTo([config.sandbox], port));
    client.resume();
  } catch (error) {
    flow.failure = error instanceof Error ? error.message : String(error);
    client.destroy();
  }
}

/** The network that leads out. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal, address }) => family === 'IPv4' && !internal && address !== config.inside);
const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** Other containers on that network: the host itself, whose address is its first, is none. */
function isNeighbour(address: string): boolean {
  if (!outside?.cidr) return false;
  const size = 2 ** (32 - Number(outside.cidr.split('/')[1]));
  const network = Math.floor(toNumber(outside.address) / size) * size;
  const offset = toNumber(address) - network;
  return offset >= 0 && offset < size && offset !== 1;
}

/** Names that were asked for and are not declared: each is told once. */
function serveNames(): Promise<void> {
  const declared = new Set(config.egress.map(({ name }) => name));
  const told = new Set<string>();
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const query = readQuery(message);
    if (query === null) return;
    const isDeclared = declared.has(query.name);
    const answer = !isDeclared ? 'no-such-name' : query.wantsAddress ? config.inside : 'none';
    socket.send(answerQuery(query, answer), from.port, from.address, () => undefined);
    if (isDeclared || told.has(query.name) || told.size >= config.most) return;
    told.add(query.name);
    report.add({
      at: new Date().toISOString(),
      direction: 'out',
      name: query.name,
      address: null,
      port: null,
      sentBytes: 0,
      receivedBytes: 0,
      verdict: 'blocked',
      reason: 'not declared',
    });
  });
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.bind(53, config.inside, resolve));
}

async function main(): Promise<void> {
  const outPorts = [...new Set(config.egress.map(({ port }) => port))];
  await Promise.all([
    serveNames(),
    ...outPorts.map((port) => serve('out', port, config.inside, (flow) => takeOut(flow, port))),
    ...config.ports.map((port) =>
      serve('in', port, outside?.address ?? '0.0.0.0', (flow) => void takeIn(flow, port)),
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
