import type { ContainerCreateOptions } from 'dockerode';
import { MOST_CONNECTIONS, type Owner } from '../../model/record.js';
import type { GatewayImage, RunPlan } from '../../model/run-plan.js';
import { SjsError } from '../../errors.js';
import { needsGateway } from '../../model/network.js';
import { GATEWAY_LOG_BYTES } from './gateway-log.js';
import type { RunNetwork } from './network.js';
import { withStreamsOnly } from './stream-sockets.js';
import { outName, ownerLabels, RUN_LABELS } from './owner-labels.js';

/** Tells the preload that a frame with secrets stands ahead of stdin. Holds no secret. */
export const SECRETS_MARKER = 'SJS_SECRETS=frame';

const MIB = 1024 ** 2;

/** What a sandbox and its collector have in common: the hardening that no plan can change (ATTACKS c). */
type CommonHost = NonNullable<ContainerCreateOptions['HostConfig']> & { readonly CgroupnsMode: 'private' };

/**
 * The create options of a run's sandbox, on its network when it has one: every setting of ATTACKS (c), none of them left to the engine's defaults.
 * Pure; a golden test compares the whole object.
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

/** Docker opens ICMP sockets to everybody, and lets a container forward when the host does. */
const NETWORK_SYSCTLS = {
  'net.ipv4.ip_forward': '0',
  'net.ipv4.ping_group_range': '1 0',
  'net.ipv6.conf.all.disable_ipv6': '1',
  'net.ipv6.conf.default.disable_ipv6': '1',
} as const;

const addressOn = ({ name }: RunNetwork, address: string) => ({
  NetworkingConfig: { EndpointsConfig: { [name]: { IPAMConfig: { IPv4Address: address } } } },
});

/**
 * The create options of the gateway: hardened as the sandbox is, on the network that leads out, where the declared
 * ports are published; it joins the run's network before it starts.
 * @param hostAddresses public addresses of the machine, where no name may lead
 */
export function gatewayOptions(
  runId: string,
  owner: Owner,
  plan: RunPlan,
  gateway: GatewayImage,
  network: RunNetwork,
  hostAddresses: readonly string[],
): ContainerCreateOptions {
  const { ports, egress } = plan.network.mode === 'isolated' ? plan.network : { ports: [], egress: [] };
  const containerPorts = [...new Set(ports.map(({ containerPort }) => containerPort))];
  const config = {
    inside: network.gatewayAddress,
    sandbox: network.sandboxAddress,
    host: hostAddresses,
    egress,
    ports: containerPorts,
    most: MOST_CONNECTIONS,
  };
  return {
    ...commonOptions(gateway),
    Entrypoint: [...gateway.command],
    Cmd: [JSON.stringify(config)],
    WorkingDir: '/app',
    Hostname: 'gateway',
    ExposedPorts: Object.fromEntries(containerPorts.map((port) => [`${port}/tcp`, {}])),
    Labels: ownerLabels(runId, owner),
    HostConfig: {
      ...commonHost(plan),
      Tmpfs: {},
      Mounts: [],
      // What its program needs for all the connections that it allows: the sandbox must not be able to end it.
      Memory: 256 * MIB,
      MemorySwap: 256 * MIB,
      NanoCpus: 1_000_000_000,
      PidsLimit: 32,
      Ulimits: ulimits({
        files: 4096,
        cpuSeconds: Math.ceil(plan.resources.timeoutMs / 1000) + 60,
        fileBytes: 0,
      }),
      // What it told before its sjs was killed is read from there.
      LogConfig: {
        Type: 'local',
        Config: { 'max-size': `${GATEWAY_LOG_BYTES}b`, 'max-file': '1', compress: 'false' },
      },
      NetworkMode: 'bridge',
      // The engine's own resolver, which asks the host's; without the host's search list.
      Dns: [],
      PortBindings: Object.fromEntries(
        containerPorts.map((port) => [
          `${port}/tcp`,
          ports
            .filter(({ containerPort }) => containerPort === port)
            .map(({ hostAddress, hostPort }) => ({
              HostIp: hostAddress,
              HostPort: hostPort === 0 ? '' : String(hostPort),
            })),
        ]),
      ),
      Sysctls: { ...NETWORK_SYSCTLS, 'net.ipv4.ip_unprivileged_port_start': '0' },
    },
  };
}

/**
 * The create options of the collector: the sandbox's own image and user (so that it may read what the program wrote),
 * our script instead of the author's command, /out read-only and small limits of its own.
 */
export function collectorOptions(
  runId: string,
  owner: Owner,
  plan: RunPlan,
  script: string,
): ContainerCreateOptions {
  return {
    ...commonOptions(plan),
    Entrypoint: ['node', '-e', script],
    Cmd: [String(plan.filesystem.outBytes ?? 0), String(plan.filesystem.outInodes)],
    WorkingDir: '/',
    Env: toolEnv(plan),
    Labels: ownerLabels(runId, owner),
    HostConfig: {
      ...commonHost(plan),
      Tmpfs: {},
      Mounts: [outMount(runId, 'read-only')],
      Memory: 128 * MIB,
      MemorySwap: 128 * MIB,
      NanoCpus: 1_000_000_000,
      PidsLimit: 32,
      Ulimits: ulimits({ files: 256, cpuSeconds: 120, fileBytes: 0 }),
      LogConfig: { Type: 'none', Config: {} },
    },
  };
}

/**
 * The create options of the probe: our script on the sandbox's network, hardened as the sandbox is, with the Node of the
 * gateway's image or else of the sandbox's.
 */
export function probeOptions(
  probeId: string,
  owner: Owner,
  plan: RunPlan,
  network: RunNetwork,
  script: string,
  args: readonly string[],
): ContainerCreateOptions {
  const options = sandboxOptions(probeId, owner, plan, network);
  const { gateway } = plan;
  return {
    ...options,
    ...(gateway && { Image: gateway.imageId, User: gateway.user }),
    Entrypoint: ['node', '-e', script],
    Cmd: [...args],
    WorkingDir: '/',
    Env: gateway ? [] : toolEnv(plan),
    HostConfig: { ...options.HostConfig, Tmpfs: {}, Mounts: [], ExtraHosts: [], Dns: ['127.0.0.1'] },
  };
}

/** The path alone, of the image's environment. */
function toolEnv({ env: { PATH, ...others }, unsetEnv }: RunPlan): string[] {
  return [...(PATH === undefined ? [] : [`PATH=${PATH}`]), ...Object.keys(others), ...unsetEnv];
}

function commonOptions({ imageId, user }: Pick<RunPlan, 'imageId' | 'user'>): ContainerCreateOptions {
  return {
    Image: imageId,
    User: user,
    Hostname: 'sandbox',
    Domainname: '',
    Tty: false,
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ['NONE'] },
    // `docker stop` by the operator then ends it at once, and never with a signal that the image chose.
    StopSignal: 'SIGKILL',
  };
}

const securityOptions = (seccompProfile: string): string[] => [
  'no-new-privileges=true',
  `seccomp=${seccompProfile}`,
];

function commonHost(plan: RunPlan): CommonHost {
  return {
    Privileged: false,
    CapAdd: [],
    CapDrop: ['ALL'],
    GroupAdd: [],
    SecurityOpt: securityOptions(plan.seccompProfile),
    ReadonlyRootfs: true,
    Binds: [],
    VolumesFrom: [],
    IpcMode: 'none',
    PidMode: '',
    UTSMode: '',
    UsernsMode: '',
    CgroupnsMode: 'private',
    Runtime: plan.runtime,
    NetworkMode: 'none',
    PortBindings: {},
    PublishAllPorts: false,
    Dns: ['127.0.0.1'],
    DnsSearch: ['.'],
    DnsOptions: [],
    ExtraHosts: [],
    Links: [],
    OomKillDisable: false,
    // The sandbox dies before the engine and before sjs when the machine runs out of memory.
    OomScoreAdj: 500,
    Devices: [],
    DeviceRequests: [],
    DeviceCgroupRules: [],
    Sysctls: {},
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
    AutoRemove: false,
    Init: true,
  };
}

function outMount(runId: string, access: 'writable' | 'read-only') {
  return {
    Type: 'volume' as const,
    Source: outName(runId),
    Target: '/out',
    ReadOnly: access === 'read-only',
    VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
  };
}

function ulimits(limits: { files: number; cpuSeconds: number; fileBytes: number }) {
  const same = (Name: string, value: number) => ({ Name, Soft: value, Hard: value });
  return [
    same('nofile', limits.files),
    // With a core_pattern that is a pipe the kernel ignores 0; 1 aborts the dump (ATTACKS F08).
    same('core', 1),
    same('memlock', 64 * 1024),
    same('msgqueue', 0),
    same('fsize', limits.fileBytes),
    // Ends what spins even when neither sjs nor the reaper is left.
    same('cpu', limits.cpuSeconds),
  ];
}

/**
 * A log from which the output of a run can be read again when its sjs was killed. The driver spends up to 26 bytes on
 * an empty line that is one byte of output, hence the factor; beyond two files of that size the oldest is dropped.
 */
function logConfig(outputBytes: number) {
  const bytes = Math.min(28 * outputBytes + 64 * 1024, 256 * MIB);
  return { Type: 'local', Config: { 'max-size': `${bytes}b`, 'max-file': '2', compress: 'false' } };
}
