import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { proveIsolation } from '../../src/adapters/docker/network-probe.js';
import { gatewayName, networkName, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { sha256 } from '../../src/model/digest.js';
import type { Network } from '../../src/model/network.js';
import type { Memory } from '../../src/ports/memory.js';
import { makeProofs, makeRunId, makeSignals, openEngine, type EngineWorld } from '../support/engine-run.js';
import { until } from '../support/until.js';

const execute = promisify(execFile);
const ENGINE = { id: 'an engine', version: '26.1.5' };
const network: Network = {
  mode: 'isolated',
  ports: [],
  egress: [{ name: 'a.test', port: 443, address: '10.0.0.1' }],
};
const nothingDeclared: Network = { mode: 'isolated', ports: [], egress: [] };

let world: EngineWorld;
beforeAll(async () => {
  world = await openEngine();
}, 60_000);
afterAll(() => world.close());

async function isRunning(name: string): Promise<boolean> {
  const { stdout } = await execute('docker', ['ps', '--filter', `name=^${name}$`, '--format', '{{.Names}}']);
  return stdout.trim() === name;
}

async function leftOf(runId: string): Promise<string> {
  const filter = ['--filter', `name=${sandboxName(runId)}`];
  const [containers, networks] = await Promise.all([
    execute('docker', ['ps', '-aq', ...filter]),
    execute('docker', ['network', 'ls', '-q', '--filter', `name=${networkName(runId)}`]),
  ]);
  return containers.stdout + networks.stdout;
}

const prove = (
  runId: string,
  proofs: Memory,
  given: { isImported?: boolean; network?: Network } = {},
  abort?: AbortSignal,
): Promise<void> => {
  const plan = world.plan({ network: nothingDeclared, ...given });
  return proveIsolation(world.client, runId, world.owner, plan, ENGINE, proofs, abort);
};

/** Proofs, and how many are kept. */
function counted(): Memory & { readonly count: () => number } {
  const proofs = makeProofs();
  let count = 0;
  return {
    get: (key) => proofs.get(key),
    set: (key, value) => {
      count += 1;
      return proofs.set(key, value);
    },
    count: () => count,
  };
}

// The gateway would be waited for longer.
test('a run whose gateway does not get ready hears Ctrl-C, and leaves nothing', async () => {
  const runId = makeRunId();
  const abort = new AbortController();
  const gateway = {
    seal: sha256('gateway'),
    imageId: world.imageId,
    user: '65532:65532',
    command: ['node', '-e', 'setInterval(() => {}, 1000)'],
  };
  const running = world.run({ network, gateway }, { runId, signals: makeSignals(abort.signal) });
  running.catch(() => undefined);
  await until('the gateway', () => isRunning(gatewayName(runId)));
  abort.abort();
  await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
  expect(await leftOf(runId)).toBe('');
}, 28_000);

test('what the Node of an imported image says of the network is not kept; the gateway is believed', async () => {
  const proofs = counted();
  await prove(makeRunId(), proofs, { isImported: true });
  expect(proofs.count()).toBe(0);
  await prove(makeRunId(), proofs, { isImported: true, network });
  expect(proofs.count()).toBe(1);
  await prove(makeRunId(), proofs);
  expect(proofs.count()).toBe(1);
}, 60_000);

test('a proof hears Ctrl-C and leaves nothing; who waited for it makes one', async () => {
  const [first, second] = [makeRunId(), makeRunId()];
  const proofs = counted();
  const abort = new AbortController();
  const aborted = prove(first, proofs, {}, abort.signal);
  aborted.catch(() => undefined);
  const waiting = prove(second, proofs);
  await until('the probe', () => isRunning(sandboxName(`${first}-probe`)));
  abort.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
  await waiting;
  expect(proofs.count()).toBe(1);
  expect((await leftOf(first)) + (await leftOf(second))).toBe('');
}, 60_000);
