import type { Duplex } from 'node:stream';
import { SjsError } from '../../errors.js';
import type { PublishedPort } from '../../model/network.js';
import type { ConnectionRecord } from '../../model/record.js';
import type { GatewayImage, RunPlan } from '../../model/run-plan.js';
import type { Owner } from '../../ports/engine.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { gatewayOptions } from './helper-options.js';
import { createNamedContainer } from './create-container.js';
import { demux } from './demux.js';
import { cleanWords } from './engine-error.js';
import { readGatewayLines } from './gateway-lines.js';
import { hostAddresses } from './host-addresses.js';
import type { RunNetwork } from './network.js';
import { gatewayName } from './owner-labels.js';

const READY_MS = 30_000;
const FAREWELL_MS = 5_000;

/** The gateway of one run, at work. */
export interface Gateway {
  /** The published ports, with those that the engine chose. */
  readonly ports: readonly PublishedPort[];
  /** Rejects when it ends before it was told to. Never fulfilled. */
  readonly lost: Promise<never>;
  /** Ends all connections, and says how many were not told; null when it did not say. */
  end(): Promise<number | null>;
  /** Lets go of it; what it says is not heard any more. */
  close(): void;
}

/**
 * Starts the gateway, which must be ready before the sandbox starts. The caller removes the container
 * `gatewayName(runId)`.
 * @param onConnection each connection when it has ended, allowed or blocked
 * @throws SjsError `PORT_TAKEN` when a port cannot be published; what the engine's calls throw
 */
export async function startGateway(
  client: DockerClient,
  runId: string,
  owner: Owner,
  plan: RunPlan,
  image: GatewayImage,
  network: RunNetwork,
  onConnection: (connection: ConnectionRecord) => void,
  abort?: AbortSignal,
): Promise<Gateway> {
  const name = gatewayName(runId);
  const options = gatewayOptions(runId, owner, plan, image, network, hostAddresses(client));
  await createNamedContainer(client, name, options, abort);
  const container = client.docker.getContainer(name);
  const [socket] = await Promise.all([
    client.call('attach', CALL_MS, (signal) => attach(client, name, signal), abort),
    client.call(
      'connect the gateway',
      SLOW_CALL_MS,
      () =>
        client.docker.getNetwork(network.name).connect({
          Container: name,
          EndpointConfig: { IPAMConfig: { IPv4Address: network.gatewayAddress } },
        }),
      abort,
    ),
  ]);
  // Ends of the connection are met where it is read.
  socket.on('error', () => undefined);
  try {
    const start = (abortSignal: AbortSignal) => container.start({ abortSignal });
    await client.call('start the gateway', SLOW_CALL_MS, start, abort).catch((error: unknown) => {
      throw explainTaken(error, plan);
    });
    const listening = listen(socket, onConnection);
    const [ports] = await Promise.all([
      publishedPorts(client, name, plan, abort),
      client.call('get the gateway ready', READY_MS, () => listening.ready, abort),
    ]);
    let isTold = false;
    const lost = listening.ended.then((): Promise<never> => {
      if (isTold) return new Promise<never>(() => undefined);
      throw new SjsError('CONTAINER_LOST', 'the gateway of the run ended while the program ran', {
        next: 'run it again; if it stays so, see `docker events`, and leave containers named sjs-… to sjs',
      });
    });
    lost.catch(() => undefined);
    return {
      ports,
      lost,
      async end() {
        isTold = true;
        socket.end();
        return Promise.race([listening.omitted, later(FAREWELL_MS)]);
      },
      close() {
        isTold = true;
        socket.destroy();
      },
    };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

interface Listening {
  readonly ready: Promise<void>;
  /** What it said at its end; null when it ended otherwise. */
  readonly omitted: Promise<number | null>;
  /** When nothing more comes. */
  readonly ended: Promise<void>;
}

/** Reads what the gateway says to its end. */
function listen(socket: Duplex, onConnection: (connection: ConnectionRecord) => void): Listening {
  let setReady: () => void = () => undefined;
  let setOmitted: (omitted: number | null) => void = () => undefined;
  const isReady = new Promise<void>((resolve) => (setReady = resolve));
  const omitted = new Promise<number | null>((resolve) => (setOmitted = resolve));
  let words = '';
  async function* stdout(): AsyncGenerator<Uint8Array, void, void> {
    for await (const { stream, data } of demux(socket as AsyncIterable<Uint8Array>)) {
      if (stream === 'stdout') yield data;
      else if (words.length < 2000) words += Buffer.from(data).toString('utf8');
    }
  }
  const read = async (): Promise<void> => {
    for await (const line of readGatewayLines(stdout())) {
      if (line.kind === 'ready') setReady();
      else if (line.kind === 'end') setOmitted(line.omitted);
      else onConnection(line.connection);
    }
  };
  const ended = read()
    .catch((error: unknown) => void (words ||= String(error)))
    .then(() => setOmitted(null));
  const failed = ended.then(() => {
    throw new SjsError('ENGINE_FAILED', `the gateway did not start: ${cleanWords(words)}`);
  });
  const ready = Promise.race([isReady, failed]);
  for (const pending of [ready, failed]) pending.catch(() => undefined);
  return { ready, omitted, ended };
}

const later = (ms: number): Promise<null> =>
  new Promise((resolve) => setTimeout(() => resolve(null), ms).unref());

/** What was published, by the engine's word: a host port 0 was any. */
async function publishedPorts(
  client: DockerClient,
  name: string,
  { network }: RunPlan,
  abort: AbortSignal | undefined,
): Promise<readonly PublishedPort[]> {
  if (network.mode === 'none' || network.ports.every(({ hostPort }) => hostPort !== 0))
    return network.mode === 'none' ? [] : network.ports;
  const inspect = (abortSignal: AbortSignal) => client.docker.getContainer(name).inspect({ abortSignal });
  const found = await client.call('inspect the gateway', SLOW_CALL_MS, inspect, abort);
  return choosePorts(network.ports, found.NetworkSettings.Ports);
}

type BoundPorts = Readonly<
  Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>
>;

/** The declared ports, each 0 with one that the engine bound for it and for no other. Pure. */
export function choosePorts(declared: readonly PublishedPort[], bound: BoundPorts): readonly PublishedPort[] {
  const given = new Set(declared.filter(({ hostPort }) => hostPort !== 0).map(placeOf));
  return declared.map((port) => {
    if (port.hostPort !== 0) return port;
    const chosen = (bound[`${port.containerPort}/tcp`] ?? [])
      .map(({ HostIp, HostPort }) => ({ ...port, hostAddress: HostIp, hostPort: Number(HostPort) }))
      .find((one) => one.hostAddress === port.hostAddress && !given.has(placeOf(one)));
    if (!chosen) return port;
    given.add(placeOf(chosen));
    return chosen;
  });
}

const placeOf = ({ hostAddress, hostPort }: PublishedPort): string => `${hostAddress}:${hostPort}`;

/** The engine's words for a port that somebody has, as what it is. Pure. */
export function explainTaken(error: unknown, { network }: Pick<RunPlan, 'network'>): unknown {
  const words = error instanceof Error ? error.message : '';
  if (network.mode === 'none' || !/port is already allocated|address already in use/i.test(words))
    return error;
  const places = new Set(words.match(/\d+(?:\.\d+){3}:\d+/g));
  const taken = network.ports.find((port) => places.has(placeOf(port))) ?? network.ports[0];
  if (!taken) return error;
  return new SjsError('PORT_TAKEN', `${placeOf(taken)} is taken by another program`, {
    cause: error,
    next: 'end that program, or publish the port elsewhere: host port 0 takes any that is free',
  });
}
