import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from '@jest/globals';
import { networkAt } from '../../src/adapters/docker/network.js';
import type { Network } from '../../src/model/network.js';
import { openEngine, type EngineWorld, type Finished, type RunHooks } from './engine-run.js';

const execute = promisify(execFile);

/** This machine, as containers of the engine's own bridge see it. */
export const HOST = '172.17.0.1';
/** A network on which nobody is. */
export const NOTHING: Network = { mode: 'isolated', ports: [], egress: [] };
/** One name on this machine. */
export const egress = (name: string, at: number): Network => ({
  mode: 'isolated',
  ports: [],
  egress: [{ name, port: at, address: HOST }],
});

/** In scope of what is asked. */
export const PRELUDE = `
const net = require('net'), dns = require('dns'), os = require('os'), fs = require('fs'), tls = require('tls'), dgram = require('dgram');
const say = (value) => fs.writeSync(1, JSON.stringify(value));
const connect = (host, port) => new Promise((done) => {
  const socket = net.connect({ host, port });
  let text = '';
  socket.setTimeout(4000, () => { socket.destroy(); done('timeout') });
  socket.on('data', (data) => { text += data }).on('error', ({ code }) => done(code)).on('close', () => done(text || 'closed'));
});
`;

/** Where code is run on networks of runs, and without them. */
export interface IsolatedPlace {
  readonly world: EngineWorld;
  /** A run whose code has {@link PRELUDE} in scope; throws when it fails. */
  readonly run: (network: Network, code: string, hooks?: RunHooks) => Promise<Finished>;
  /** What the code says, on a network of a run. */
  readonly ask: <T>(network: Network, code: string) => Promise<T>;
  /** The same in a container that is started by hand with these flags. */
  readonly askWithout: <T>(flags: readonly string[], code: string) => Promise<T>;
  /** The same in the range of runs' networks, wherever there is room. */
  readonly makeRunNetwork: (...options: string[]) => Promise<string>;
  /** A network of the engine, for as long as the test file. */
  readonly makeNetwork: (...options: string[]) => Promise<string>;
}

/** Opens it before the tests of a file, and removes all of it after them. */
export function openIsolated(): IsolatedPlace {
  let world: EngineWorld | null = null;
  const networks: string[] = [];
  const opened = (): EngineWorld => {
    if (world === null) throw new Error('the tests have not begun');
    return world;
  };
  beforeAll(async () => void (world = await openEngine()), 60_000);
  afterAll(async () => {
    for (const name of networks) await execute('docker', ['network', 'rm', name]);
    await world?.close();
  });
  const run: IsolatedPlace['run'] = async (network, code, hooks) => {
    const finished = await opened().run({ network, code: `${PRELUDE}${code}` }, hooks);
    const { outcome, stderr } = finished;
    if (outcome.exitCode !== 0) throw new Error(`exit ${outcome.exitCode}: ${stderr}`);
    return finished;
  };
  const makeNetwork = async (...options: string[]): Promise<string> => {
    const name = `sjs-attack-${randomBytes(6).toString('hex')}`;
    await execute('docker', ['network', 'create', ...options, name]);
    networks.push(name);
    return name;
  };
  return {
    get world() {
      return opened();
    },
    run,
    ask: async <T>(network: Network, code: string) =>
      JSON.parse((await run(network, code)).stdout.toString()) as T,
    askWithout: async <T>(flags: readonly string[], code: string) => {
      const args = ['run', '--rm', ...flags, opened().imageId, 'node', '-e', `${PRELUDE}${code}`];
      return JSON.parse((await execute('docker', args, { timeout: 60_000 })).stdout) as T;
    },
    makeNetwork,
    async makeRunNetwork(...options) {
      for (let tries = 1; ; tries += 1) {
        try {
          return await makeNetwork('--subnet', networkAt('', randomInt(4096)).subnet, ...options);
        } catch (error) {
          if (tries === 20 || !/overlap/.test(String(error))) throw error;
        }
      }
    },
  };
}
