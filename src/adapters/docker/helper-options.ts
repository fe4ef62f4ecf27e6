import type { ContainerCreateOptions } from 'dockerode';
import { MOST_CONNECTIONS, type Owner } from '../../model/record.js';
import type { GatewayImage, RunPlan } from '../../model/run-plan.js';
import { commonHost, commonOptions, MIB, NETWORK_SYSCTLS, outMount, ulimits } from './common-options.js';
import { sandboxOptions } from './container-options.js';
import { GATEWAY_LOG_BYTES } from './gateway-log.js';
import type { RunNetwork } from './network.js';
import { ownerLabels } from './owner-labels.js';

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
 * The create options of the collector: the sandbox's own image (or the gateway's, where that has no Node) and user (so
 * that it may read what the program wrote),
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
    ...(plan.nodeImageId !== undefined && { Image: plan.nodeImageId }),
    Entrypoint: ['node', '-e', script],
    Cmd: [String(plan.filesystem.outBytes ?? 0), String(plan.filesystem.outInodes)],
    WorkingDir: '/',
    Env: plan.nodeImageId === undefined ? toolEnv(plan) : [],
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
  const { gateway, nodeImageId } = plan;
  return {
    ...options,
    ...(nodeImageId !== undefined && { Image: nodeImageId }),
    ...(gateway && { Image: gateway.imageId, User: gateway.user }),
    Entrypoint: ['node', '-e', script],
    Cmd: [...args],
    WorkingDir: '/',
    Env: gateway || nodeImageId !== undefined ? [] : toolEnv(plan),
    HostConfig: { ...options.HostConfig, Tmpfs: {}, Mounts: [], ExtraHosts: [], Dns: ['127.0.0.1'] },
  };
}

/** The path alone, of the image's environment. */
function toolEnv({ env: { PATH, ...others }, unsetEnv }: RunPlan): string[] {
  return [...(PATH === undefined ? [] : [`PATH=${PATH}`]), ...Object.keys(others), ...unsetEnv];
}
