import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { parseGatewayLine } from '../../src/adapters/docker/gateway-lines.js';
import { networkAt, overlaps } from '../../src/adapters/docker/network.js';
import { sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { MOST_CONNECTIONS } from '../../src/model/record.js';
import { attack, buildProbe, CannotBeTried, probed } from '../support/attack.js';
import { helloOf, withExtension, withName } from '../support/client-hello.js';
import { makeRunId, makeSignals } from '../support/engine-run.js';
import { egress, HOST, NOTHING, openIsolated, PRELUDE } from '../support/isolated.js';
import { startSecondEngine } from '../support/second-engine.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const place = openIsolated();
const { run, ask, askWithout, makeNetwork, makeRunNetwork } = place;

let host: Server;
let port: number;
let connections = 0;
beforeAll(async () => {
  // On every address of this machine, IPv6 and IPv4.
  host = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined).once('data', () => socket.end('host'));
  });
  host.listen(0);
  await once(host, 'listening');
  ({ port } = host.address() as AddressInfo);
});
afterAll(() => void host.close());

/** What comes back for each payload, by a connection of its own: `closed` for nothing. */
const send = (to: string, payloads: readonly Buffer[]): string => `Promise.all(${JSON.stringify(
  payloads.map((bytes) => bytes.toString('base64')),
)}.map((bytes) => new Promise((done) => {
  const socket = net.connect({ host: '${to}', port: ${port} });
  let text = '';
  socket.setTimeout(15000, () => { socket.destroy(); done('timeout') });
  socket.on('connect', () => socket.write(Buffer.from(bytes, 'base64'))).on('data', (data) => { text += data });
  socket.on('error', ({ code }) => done(code)).on('close', () => done(text === 'host' ? 'host' : 'closed'));
}))).then(say)`;

const RAW = ['INET:raw', 'INET6:raw', 'INET:icmp', 'INET6:icmp', 'PACKET', 'PACKET:dgram'].map(
  (family) => `socket:AF_${family}`,
);

attack(
  'N07',
  async () => {
    const imageId = await withProbe();
    const { stdout } = await place.world.run({ imageId, command: ['/probe'], network: NOTHING });
    const got = RAW.map((name) => [name, probed(stdout.toString(), name)]);
    expect(got.filter(([, answer]) => answer !== 'EPERM' && answer !== 'EACCES')).toEqual([]);
    expect(probed(stdout.toString(), 'socket:AF_INET')).toBe('OK');
    return `${RAW.length} kinds: ${[...new Set(got.map(([, answer]) => answer))].join(', ')}`;
  },
  async () => {
    const imageId = await withProbe();
    const flags = ['--rm', '--security-opt', 'seccomp=unconfined', '--cap-add', 'NET_RAW'];
    const { stdout } = await execute('docker', ['run', ...flags, imageId, '/probe']);
    const opened = RAW.filter((name) => probed(stdout, name) === 'OK');
    expect(opened).toEqual(
      expect.arrayContaining(['socket:AF_INET:raw', 'socket:AF_INET:icmp', 'socket:AF_PACKET']),
    );
    return `${opened.length} of them are opened`;
  },
);

let probedImage: Promise<string> | null = null;
/** The base with the probe program in it. */
function withProbe(): Promise<string> {
  return (probedImage ??= (async () => {
    const file = join(await makeFolder(), 'probe');
    await buildProbe(file);
    const name = `sjs-attack-${randomBytes(6).toString('hex')}`;
    await execute('docker', ['create', '--name', name, place.world.imageId, '/probe']);
    try {
      await execute('docker', ['cp', file, `${name}:/probe`]);
      return (await execute('docker', ['commit', name])).stdout.trim();
    } finally {
      await execute('docker', ['rm', '-f', name]);
    }
  })());
}
afterAll(async () => {
  if (probedImage) await execute('docker', ['image', 'rm', '-f', await probedImage]);
});

const SIX = (
  addresses: readonly string[],
): string => `Promise.all(${JSON.stringify(addresses)}.map((host) => new Promise((done) => {
  const socket = net.connect({ host, port: ${port} });
  socket.setTimeout(3000, () => { socket.destroy(); done('timeout') });
  socket.on('error', ({ code }) => done(code)).on('connect', () => { socket.destroy(); done('connected') });
}))).then((answers) => say({ answers, own: fs.existsSync('/proc/net/if_inet6') ? fs.readFileSync('/proc/net/if_inet6', 'utf8') : '' }))`;

attack(
  'N17',
  async () => {
    const addresses = [
      `::ffff:${HOST}`,
      '::ffff:169.254.169.254',
      'fd00:ec2::254',
      'fe80::1%eth0',
      'ff02::1%eth0',
    ];
    const before = connections;
    const seen = await ask<{ answers: string[]; own: string }>(NOTHING, SIX(addresses));
    expect(seen.own).toBe('');
    expect(seen.answers).not.toContain('connected');
    expect(seen.answers).not.toContain('timeout');
    expect(connections).toBe(before);
    return `no address of its own; ${[...new Set(seen.answers)].join(', ')}`;
  },
  async () => {
    const prefix = `fd5a:6a73:${randomBytes(2).toString('hex')}::`;
    const network = await makeRunNetwork(
      '--internal',
      '--ipv6',
      '--subnet',
      `${prefix}/64`,
      '--gateway',
      `${prefix}1`,
    );
    // The kernel takes a moment to make sure that nobody else has the address.
    const answer = await until('the host answers', async () => {
      const { answers } = await askWithout<{ answers: string[] }>(
        ['--network', network],
        SIX([`${prefix}1`]),
      );
      return answers[0] === 'connected' && answers[0];
    });
    return `the host: ${answer}`;
  },
);

const LISTEN = `${PRELUDE}net.createServer((socket) => socket.end('other')).listen(8080, '0.0.0.0', () => console.log(Object.values(os.networkInterfaces()).flat().find(({ internal }) => !internal).address)); setTimeout(() => {}, 30000)`;

/** What this machine gets from an address. */
const reach = (address: string): Promise<string> =>
  new Promise((done) => {
    const socket = connect({ host: address, port: 8080 });
    socket.setTimeout(3000, () => (socket.destroy(), done('nothing')));
    socket.on('data', (data) => done(String(data))).on('error', () => done('nothing'));
  });

attack(
  'N18',
  async () => {
    const abort = new AbortController();
    const runId = makeRunId();
    let heard: (address: string) => void = () => undefined;
    const address = new Promise<string>((resolve) => (heard = resolve));
    const hooks = {
      runId,
      signals: makeSignals(abort.signal),
      onStdout: (chunk: Uint8Array) => heard(Buffer.from(chunk).toString().trim()),
    };
    const other = place.world.run({ network: NOTHING, code: LISTEN }, hooks);
    try {
      const where = await Promise.race([address, other.then(() => 'ended')]);
      expect(where).toMatch(/^198\.19\./);
      expect(await reach(where)).toBe('nothing');
      expect(await askWithout<string>([], `connect('${where}', 8080).then(say)`)).not.toBe('other');
      const format =
        '{{json .NetworkSettings.Ports}} {{json .HostConfig.PortBindings}} {{.HostConfig.PublishAllPorts}}';
      const { stdout } = await execute('docker', ['inspect', '--format', format, sandboxName(runId)]);
      expect(stdout.trim()).toBe('{} {} false');
      return `it listens at ${where}: neither this machine nor another container gets an answer`;
    } finally {
      abort.abort();
      await other;
    }
  },
  async () => {
    const network = await makeRunNetwork('--internal');
    const words = ['run', '-d', '--network', network, place.world.imageId, 'node', '-e', LISTEN];
    const id = (await execute('docker', words)).stdout.trim();
    try {
      const where = await until('it listens', async () =>
        (await execute('docker', ['logs', id])).stdout.trim(),
      );
      expect(await reach(where)).toBe('other');
      return 'this machine is answered';
    } finally {
      await execute('docker', ['rm', '-f', id]);
    }
  },
);

const OWN = `say(Object.values(os.networkInterfaces()).flat().find(({ internal }) => !internal).cidr)`;
const TAKEN = 40;

attack(
  'N09',
  async () => {
    const taken: string[] = [];
    for (let number = 3000; taken.length < TAKEN; number += 1) {
      const { subnet } = networkAt(makeRunId(), number);
      // Somebody else's run may be there.
      await makeNetwork('--internal', '--subnet', subnet).then(
        () => taken.push(subnet),
        (error: unknown) => expect(String(error)).toMatch(/overlap/),
      );
    }
    const got = await Promise.all(Array.from({ length: 8 }, () => ask<string>(NOTHING, OWN)));
    expect(new Set(got).size).toBe(8);
    for (const cidr of got) {
      expect(overlaps(cidr, '198.19.0.0/16')).toBe(true);
      expect(taken.filter((subnet) => overlaps(subnet, cidr))).toEqual([]);
    }
    return `beside ${TAKEN} networks, 8 runs at once: a network each, of a range of their own`;
  },
  async () => {
    const engine = await startSecondEngine({ imageStore: 'overlay2' });
    const made: string[] = [];
    const asked = (...words: string[]) => execute('docker', ['--host', engine.host, 'network', ...words]);
    try {
      let words = '';
      while (words === '' && made.length < TAKEN) {
        const name = `sjs-pool-${made.length}`;
        await asked('create', name).then(
          () => made.push(name),
          (error: unknown) => (words = String(error)),
        );
      }
      expect(words).toMatch(/address pool/);
      return `the pools of the engine end at ${made.length} networks`;
    } finally {
      if (made.length > 0) await asked('rm', ...made);
      await engine.stop();
    }
  },
  240_000,
);

/** The hello of a client that wants a server of this name, whatever is in the name. */
async function helloTo(name: string): Promise<Buffer> {
  const plain = `${'x'.repeat(Math.max(1, name.length - 5))}.test`.slice(-name.length);
  return withName(await helloOf(plain), plain, name);
}
const SPELLINGS = [
  ...[
    'evil.test',
    'API.TEST',
    'Api.test',
    'api.test.',
    'xn--api-8cd.test',
    'sub.api.test',
    '*.test',
    'api.test:443',
  ],
  ...[
    HOST,
    '10.0.0.1',
    '127.0.0.1',
    '2886795265',
    '0xac110001',
    '0254.021.0.1',
    '172.17.1',
    '[::ffff:172.17.0.1]',
  ],
  ...['api.test\0', '\0api.test', 'api.test\n', 'api.test@evil.test', 'evil.test#api.test'],
];
async function hostileWords(): Promise<Buffer[]> {
  const hello = await helloTo('api.test');
  const names = SPELLINGS.filter((name) => name.length > 5);
  const http = (text: string): Buffer => Buffer.from(`${text}\r\n\r\n`, 'latin1');
  const own = `Host: api.test:${port}`;
  return [
    ...(await Promise.all(names.map(helloTo))),
    await helloOf(undefined),
    withExtension(hello, 0xfe0d, randomBytes(64)),
    withExtension(hello, 0, Buffer.from('\0\x0c\0\0\x09evil.test', 'latin1')),
    ...SPELLINGS.filter((name) => !name.endsWith(':443')).map((name) =>
      http(`GET / HTTP/1.1\r\nHost: ${name}:${port}`),
    ),
    ...['', `${own}\r\nHost: evil.test`, `Host: api.test:${port + 1}`, `Host : api.test:${port}`].map(
      (line) => http(`GET / HTTP/1.1${line === '' ? '' : '\r\n'}${line}`),
    ),
    http(`GET http://evil.test/ HTTP/1.1\r\n${own}`),
    http(`CONNECT 10.0.0.1:80 HTTP/1.1\r\n${own}`),
    http(`GET / HTTP/1.1\r\n${own}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked`),
    http(`PRI * HTTP/2.0\r\n`),
  ];
}

attack(
  'N19',
  async () => {
    const words = await hostileWords();
    const before = connections;
    const finished = await run(egress('api.test', port), send('api.test', words));
    const answers = JSON.parse(finished.stdout.toString()) as string[];
    expect(
      answers.flatMap((answer, at) => (answer === 'closed' ? [] : [[answer, words[at]!.toString('latin1')]])),
    ).toEqual([]);
    expect(finished.connections.filter(({ verdict }) => verdict === 'allowed')).toEqual([]);
    expect(connections).toBe(before);
    expect(finished.connections).toHaveLength(words.length);
    const [own] = [Buffer.from(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\nConnection: close\r\n\r\n`)];
    await ask(egress('api.test', port), send('api.test', [own, await helloTo('api.test')]));
    expect(connections).toBe(before + 2);
    return `${words.length} ways refused and told; the name as it is declared passes, by TLS and by HTTP`;
  },
  async () => {
    const words = await hostileWords();
    const answers = await askWithout<string[]>([], send(HOST, words));
    expect(new Set(answers)).toEqual(new Set(['host']));
    return `${answers.length} of ${answers.length} reach the server`;
  },
);

/** Names that mean private addresses to a gateway: its own, and loopback. */
const PRIVATE = ['gateway', 'localhost'];
const askFor = (name: string): Buffer =>
  Buffer.from(`GET / HTTP/1.1\r\nHost: ${name}:${port}\r\nConnection: close\r\n\r\n`);
const towards = (address: string | null) => ({
  mode: 'isolated' as const,
  ports: [],
  egress: PRIVATE.map((name) => ({ name, port, address })),
});

attack(
  'N20',
  async () => {
    const before = connections;
    const words = [...PRIVATE.map(askFor), await helloTo('localhost')];
    const finished = await run(towards(null), send('gateway', words));
    expect(JSON.parse(finished.stdout.toString())).toEqual(words.map(() => 'closed'));
    expect(connections).toBe(before);
    const reasons = finished.connections.map(({ name, reason }) => `${name}: ${reason}`);
    expect(reasons.sort()).toEqual([
      expect.stringMatching(/^gateway: it resolves to 172\.\d+\.\d+\.\d+, which is no public address$/),
      ...['HTTP', 'TLS'].map(() => 'localhost: it resolves to 127.0.0.1, which is no public address'),
    ]);
    return `${words.length} connections refused, with the address they would have gone to`;
  },
  async () => {
    const before = connections;
    await ask(towards(HOST), send('gateway', PRIVATE.map(askFor)));
    expect(connections).toBe(before + 2);
    return 'with the address pinned, which a policy must allow, they go there';
  },
);

const CAST = (to: number): string => `(() => {
  const own = Object.values(os.networkInterfaces()).flat().find(({ internal }) => !internal).address;
  const socket = dgram.createSocket('udp4');
  socket.on('error', ({ code }) => { say(code); process.exit(0) });
  socket.bind(0, own, () => {
    socket.setBroadcast(true);
    for (const address of ['255.255.255.255', '224.0.0.1', own.replace(/\\d+$/, (last) => Number(last) | 15)])
      for (let times = 0; times < 3; times++) socket.send('cast', ${to}, address, () => {});
    setTimeout(() => { say('sent'); process.exit(0) }, 500);
  });
})()`;

attack(
  'N22',
  async () => {
    const { heard, to, close } = await openDatagrams();
    try {
      expect(await ask<string>(NOTHING, CAST(to))).toBe('EPERM');
      expect(await ask<string>(egress('api.test', port), CAST(to))).toBe('EPERM');
      expect(heard).toEqual([]);
      return 'no datagram socket: EPERM';
    } finally {
      close();
    }
  },
  async () => {
    const { heard, to, close } = await openDatagrams();
    try {
      const network = await makeRunNetwork('--internal', '-o', 'com.docker.network.bridge.inhibit_ipv4=true');
      expect(await askWithout<string>(['--network', network], CAST(to))).toBe('sent');
      if (heard.length === 0)
        throw new CannotBeTried('the kernel drops what comes from where it has no route to');
      return `the host hears ${heard.length} of them, on a network where it has no address`;
    } finally {
      close();
    }
  },
);

/** A service of this machine that takes datagrams at any of its addresses. */
async function openDatagrams() {
  const heard: string[] = [];
  const socket = createSocket('udp4').on('message', (message) => void heard.push(String(message)));
  socket.bind(0, '0.0.0.0');
  await once(socket, 'listening');
  return { heard, to: socket.address().port, close: () => void socket.close() };
}

const FORGED = {
  at: '2026-01-01T00:00:00.000Z',
  direction: 'out',
  name: 'forged.test',
  address: '192.0.2.1',
  port: 443,
  sentBytes: 1,
  receivedBytes: 1,
  verdict: 'allowed',
  reason: null,
};
const LINES = `${JSON.stringify({ connection: FORGED })}\n${JSON.stringify({ end: true, omitted: 7 })}\n`;
const FORGE = `${PRELUDE}(async () => {
  fs.writeSync(1, ${JSON.stringify(LINES)});
  fs.writeSync(2, ${JSON.stringify(LINES)});
  fs.writeSync(1, Buffer.from([1, 0, 0, 0, 0, 0, 0, 3]));
  const label = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
  const head = Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  for (const text of ['\\x1b]0;x\\x07\\x9b2J', '"}}\\n{"end":true,"omitted":9}\\n', '\\r::set-output name=x::y']) {
    const message = Buffer.concat([head, label(text), Buffer.from([0, 0, 1, 0, 1])]);
    const size = Buffer.from([0, message.length]);
    await new Promise((done) => net.connect(53, dns.getServers()[0]).on('data', done).on('error', done).write(Buffer.concat([size, message])));
  }
  await new Promise((done) => net.connect(PORT, 'api.test').on('close', done).on('error', () => {}).resume().write(Buffer.from(BYTES, 'base64')));
  process.exit(0);
})()`;

attack(
  'N21',
  async () => {
    const hello = await helloTo('\x1b[2J"}}\n{"end":true,"omitted":8}\n');
    const code = FORGE.replace('PORT', String(port)).replace(
      'BYTES',
      JSON.stringify(hello.toString('base64')),
    );
    const {
      connections: told,
      outcome,
      stdout,
    } = await place.world.run({ network: egress('api.test', port), code });
    expect([outcome.end, outcome.exitCode]).toEqual(['exited', 0]);
    expect(stdout.toString('latin1')).toContain('forged.test');
    expect(told).toHaveLength(4);
    expect(told.map(({ verdict, address }) => [verdict, address])).toEqual(told.map(() => ['blocked', null]));
    expect(told.filter(({ name }) => /[\p{Cc}\p{Cf}]|forged/u.test(name ?? ''))).toEqual([]);
    expect(outcome.omittedConnections).toBe(0);
    return `the record has ${told.length} blocked connections, their names as harmless text, and nothing of what was printed`;
  },
  () => {
    const [line = ''] = LINES.split('\n');
    expect(parseGatewayLine(line)).toEqual({ kind: 'connection', connection: FORGED });
    return 'the forged line is one that a gateway could have said';
  },
);

const FLOOD = 4000;
const flood = (to: string): string => `(async () => {
  let begun = 0;
  const worker = async () => {
    while (begun < ${FLOOD}) {
      begun += 1;
      await new Promise((done) => {
        const socket = net.connect({ host: '${to}', port: ${port} });
        socket.setTimeout(250, () => socket.destroy());
        socket.on('connect', () => socket.write('\\0')).on('error', () => {}).on('close', done).resume();
      });
    }
  };
  await Promise.all(Array.from({ length: 200 }, worker));
  const udp = dgram.createSocket('udp4');
  const datagram = await new Promise((done) => udp.on('error', ({ code }) => done(code)).send('x', 9, '192.0.2.1', (error) => done(error ? error.code : 'sent')));
  say({ begun, datagram });
  process.exit(0);
})()`;

attack(
  'N12',
  async () => {
    const before = connections;
    const begin = performance.now();
    const flooding = run(egress('api.test', port), flood('api.test'));
    // Another run has its own gateway, and its own turn.
    const other = await ask<string[]>(egress('other.test', port), send('other.test', [Buffer.from('\0')]));
    const { stdout, connections: told, outcome } = await flooding;
    const seconds = (performance.now() - begin) / 1000;
    expect(other).toEqual(['host']);
    expect(JSON.parse(stdout.toString())).toEqual({ begun: FLOOD, datagram: 'EPERM' });
    const passed = connections - before - 1;
    expect(passed).toBeLessThanOrEqual(1000 + 100 * seconds);
    expect(passed).toBeLessThan(FLOOD);
    const omitted = outcome.omittedConnections ?? 0;
    expect(told.length).toBeLessThanOrEqual(MOST_CONNECTIONS);
    expect(omitted).toBeGreaterThan(0);
    expect(told.length + omitted).toBeGreaterThan(FLOOD * 0.9);
    // Half of the record is kept for what passed, whatever was blocked.
    const allowed = told.filter(({ verdict }) => verdict === 'allowed');
    expect(allowed.length).toBeGreaterThanOrEqual(Math.min(passed, MOST_CONNECTIONS / 2));
    return `${passed} of ${FLOOD} connections passed, ${told.length} are in the record and ${omitted} counted; another run went its way; datagrams: EPERM`;
  },
  async () => {
    const before = connections;
    const { datagram } = await askWithout<{ datagram: string }>([], flood(HOST));
    expect(datagram).toBe('sent');
    expect(connections - before).toBeGreaterThan(FLOOD * 0.9);
    return `${connections - before} of ${FLOOD} arrive, and datagrams leave`;
  },
  150_000,
);
