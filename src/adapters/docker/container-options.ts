import type { ContainerCreateOptions } from 'dockerode';
import type { Owner } from '../../model/record.js';
import type { RunPlan } from '../../model/run-plan.js';
import { SjsError } from '../../errors.js';
import { needsGateway } from '../../model/network.js';
import {
  commonHost,
  commonOptions,
  MIB,
  NETWORK_SYSCTLS,
  outMount,
  securityOptions,
  ulimits,
} from './common-options.js';
import type { RunNetwork } from './network.js';
import { withStreamsOnly } from './stream-sockets.js';
import { ownerLabels, RUN_LABELS } from './owner-labels.js';

/** Tells the preload that a frame with secrets stands ahead of stdin. Holds no secret. */
const SECRETS_MARKER = 'SJS_SECRETS=frame';

/**
 * The create options of a run's sandbox, on its network when it has one: every setting of ATTACKS (c), none of them
 * left to the engine's defaults. Pure; a golden test compares the whole object.
 */
export function sandboxOptions(
  runId: string,
  owner: Owner,
  plan: RunPlan,
  network: RunNetwork | null = null,
): ContainerCreateOptions {
  const { resources, filesystem } = plan;
  if ((plan.network.mode === 'none') !== (network === null))
    throw new SjsError('INTERNAL', 'the run has another network than its plan');
  const [first, ...rest] = plan.command.length > 0 ? plan.command : plan.args;
  if (first === undefined) throw new SjsError('INTERNAL', 'the run plan has no command');
  const entrypoint = plan.command.length > 0 ? [...plan.command] : [first];
  const cpuSeconds = Math.ceil((resources.timeoutMs / 1000) * (resources.milliCpu / 1000)) + 5;
  return {
    ...commonOptions(plan),
    Entrypoint: entrypoint,
    Cmd: plan.command.length > 0 ? [...plan.args] : rest,
    WorkingDir: plan.workingDirectory,
    Env: [
      ...Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
      ...(plan.expectsSecrets ? [SECRETS_MARKER] : []),
      // Without `=` the engine drops the variable that the image sets.
      ...plan.unsetEnv,
    ],
    Labels: { ...ownerLabels(runId, owner), [RUN_LABELS.timeoutMs]: String(resources.timeoutMs) },
    HostConfig: {
      ...commonHost(plan),
      Tmpfs: {
        '/tmp': `rw,noexec,nosuid,nodev,size=${filesystem.tmpBytes},nr_inodes=${filesystem.tmpInodes},mode=1777`,
      },
      Mounts: filesystem.outBytes === null ? [] : [outMount(runId, 'writable')],
      Memory: resources.memoryBytes,
      MemorySwap: resources.memoryBytes,
      NanoCpus: resources.milliCpu * 1_000_000,
      PidsLimit: resources.pids,
      Ulimits: ulimits({
        files: resources.files,
        cpuSeconds,
        fileBytes: Math.max(64 * MIB, filesystem.tmpBytes, filesystem.outBytes ?? 0),
      }),
      LogConfig: logConfig(resources.outputBytes),
      ...(network && sandboxOnNetwork(plan, network)),
    },
    ...(network && addressOn(network, network.sandboxAddress)),
  };
}

/** The host settings of a sandbox that has a network (ATTACKS c). */
function sandboxOnNetwork({ network: declared, seccompProfile }: RunPlan, network: RunNetwork) {
  const names =
    declared.mode === 'isolated' ? [...new Set(declared.egress.map(({ name }) => name))].sort() : [];
  return {
    NetworkMode: network.name,
    SecurityOpt: securityOptions(withStreamsOnly(seccompProfile)),
    // The engine's own resolver would ask the host's: the gateway answers, or nobody.
    Dns: [needsGateway(declared) ? network.gatewayAddress : '127.0.0.1'],
    // Over TCP.
    DnsOptions: ['use-vc'],
    ExtraHosts: names.map((name) => `${name}:${network.gatewayAddress}`),
    Sysctls: { ...NETWORK_SYSCTLS, 'net.ipv4.ip_unprivileged_port_start': '1024' },
  };
}

const addressOn = ({ name }: RunNetwork, address: string) => ({
  NetworkingConfig: { EndpointsConfig: { [name]: { IPAMConfig: { IPv4Address: address } } } },
});

/**
 * A log from which the output of a run can be read again when its sjs was killed. The driver spends up to 26 bytes on
 * an empty line that is one byte of output, hence the factor; beyond two files of that size the oldest is dropped.
 */
function logConfig(outputBytes: number) {
  const bytes = Math.min(28 * outputBytes + 64 * 1024, 256 * MIB);
  return { Type: 'local', Config: { 'max-size': `${bytes}b`, 'max-file': '2', compress: 'false' } };
}
