import { sha256, type Digest } from '../../model/digest.js';
import { SjsError } from '../../errors.js';
import type { RunPlan } from '../../model/run-plan.js';
import type { Owner } from '../../ports/engine.js';
import type { Memory } from '../../ports/memory.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { probeOptions } from './helper-options.js';
import { createNamedContainer } from './create-container.js';
import { demux } from './demux.js';
import { cleanWords } from './engine-error.js';
import { createRunNetwork, hasIsolatedMode, type RunNetwork } from './network.js';
import { networkName, sandboxName } from './owner-labels.js';
import { removeContainer, removeNetwork } from './remove.js';

const PROBE_MS = 30_000;
/** All that it takes: no step of another's takes longer, or it has failed. */
const PROOF_MS = 5 * 60_000;

/**
 * Runs in a container on a network of a run. Connects to every address of the network and to a few beyond, and prints
 * what answered: a neighbour of whom the kernel learned an Ethernet address is there, whatever its ports say.
 */
const SCRIPT = `
const fs = require('fs'), net = require('net');
const [beyond, own, ...near] = process.argv.slice(1);
const attempt = (host) => new Promise((done) => {
  const socket = net.connect({ host, port: 2375 });
  socket.setTimeout(1500, () => { socket.destroy(); done([]) });
  socket.on('connect', () => { socket.destroy(); done([host + ' accepted']) });
  socket.on('error', ({ code }) => done(code === 'ECONNREFUSED' || code === 'ECONNRESET' ? [host + ' answered'] : []));
});
Promise.all([...near, ...beyond.split(',')].map(attempt)).then((answers) => {
  const rows = (file) => fs.readFileSync(file, 'utf8').trim().split('\\n').slice(1).map((line) => line.trim().split(/\\s+/));
  const neighbours = rows('/proc/net/arp').filter((row) => row[2] !== '0x0').map((row) => row[0] + ' is there');
  const routes = rows('/proc/net/route').filter((row) => row[1] === '00000000').map(() => 'there is a route out');
  fs.writeSync(1, JSON.stringify([...new Set([...answers.flat(), ...neighbours, ...routes])]));
});
`;

/** Addresses beyond the network that must not answer: the engine's own bridge, the metadata address, the internet. */
const BEYOND = ['172.17.0.1', '169.254.169.254', '1.1.1.1'];

/** Whether that was proven before of this engine in this version. */
export async function isProven(engine: EngineIdentity, proofs: Memory): Promise<boolean> {
  return (await proofs.get(keyOf(engine))) === true;
}

/** Which engine it is, by its own word. */
export interface EngineIdentity {
  readonly id: string;
  readonly version: string;
}

const keyOf = ({ id, version }: EngineIdentity): Digest =>
  sha256(`${id}\n${version}\n${hasIsolatedMode(version)}`);

/**
 * Proves, once for each engine and version, that nobody can be reached on the network of a run: believe no version
 * (FACTS). The probe is hardened like any sandbox, and runs on the gateway's image or else on the plan's. What the Node
 * of an image says that was sealed elsewhere is good for its own run alone, and not kept.
 * @throws SjsError `CONTROL_MISSING` naming what answered; `ABORTED`
 */
export async function proveIsolation(
  client: DockerClient,
  runId: string,
  owner: Owner,
  plan: RunPlan,
  engine: EngineIdentity,
  proofs: Memory,
  abort?: AbortSignal,
): Promise<void> {
  while (!(await isProven(engine, proofs))) {
    // Runs that begin at the same time wait for one proof; when it fails, each tries for itself.
    const begun = proving.get(client);
    if (begun) {
      await client.call('prove the isolation', PROOF_MS, () => begun.catch(() => undefined), abort);
      continue;
    }
    const proof = probe(client, runId, owner, plan, engine, abort);
    if (plan.isImported && !plan.gateway && plan.nodeImageId === undefined) return proof;
    const kept = proof.then(() => proofs.set(keyOf(engine), true)).finally(() => proving.delete(client));
    proving.set(client, kept);
    return kept;
  }
}

const proving = new WeakMap<DockerClient, Promise<void>>();

async function probe(
  client: DockerClient,
  runId: string,
  owner: Owner,
  plan: RunPlan,
  engine: { readonly version: string },
  abort?: AbortSignal,
): Promise<void> {
  const probeId = `${runId}-probe`;
  const remove = async (): Promise<void> => {
    await removeContainer(client, sandboxName(probeId));
    await removeNetwork(client, networkName(probeId));
  };
  try {
    const network = await createRunNetwork(client, probeId, owner, engine.version, abort);
    const reached = await findReachable(client, probeId, owner, plan, network, abort);
    if (reached.length > 0) {
      throw new SjsError(
        'CONTROL_MISSING',
        `the engine (${cleanWords(engine.version)}) does not isolate a network of a run: ${reached.join(', ')}`,
        { next: 'use network: { mode: none }, or another engine; sjs doctor says what this machine lacks' },
      );
    }
  } catch (error) {
    // What is left the next command finds by its labels.
    await remove().catch(() => undefined);
    throw error;
  }
  await remove();
}

/** What a container on the network reaches, in words. */
export async function findReachable(
  client: DockerClient,
  probeId: string,
  owner: Owner,
  plan: RunPlan,
  network: RunNetwork,
  abort?: AbortSignal,
): Promise<readonly string[]> {
  const [prefix = '', first = ''] = /^(.*\.)(\d+)\/\d+$/.exec(network.subnet)?.slice(1) ?? [];
  const near = Array.from({ length: 14 }, (_, at) => `${prefix}${Number(first) + 1 + at}`);
  const others = near.filter((address) => address !== network.sandboxAddress);
  const args = [BEYOND.join(','), network.sandboxAddress, ...others];
  const name = sandboxName(probeId);
  const options = probeOptions(probeId, owner, plan, network, SCRIPT, args);
  await createNamedContainer(client, name, options, abort);
  const socket = await client.call('attach', CALL_MS, (signal) => attach(client, name, signal), abort);
  socket.on('error', () => undefined);
  const start = (abortSignal: AbortSignal) => client.docker.getContainer(name).start({ abortSignal });
  const read = async (signal: AbortSignal): Promise<string> => {
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    let out = '';
    for await (const { data } of demux(socket as AsyncIterable<Uint8Array>))
      if (out.length < 65_536) out += Buffer.from(data).toString('utf8');
    return out;
  };
  try {
    await client.call('start the probe', SLOW_CALL_MS, start, abort);
    const said = await client.call('run the probe', PROBE_MS, read, abort);
    return readAnswer(said);
  } finally {
    socket.destroy();
  }
}

/** @throws SjsError `ENGINE_FAILED` when the probe did not say: then nothing is proven */
function readAnswer(said: string): readonly string[] {
  try {
    const value: unknown = JSON.parse(said);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.map(cleanWords);
  } catch {
    // Said below.
  }
  throw new SjsError('ENGINE_FAILED', `the probe of the network failed: ${cleanWords(said)}`);
}
