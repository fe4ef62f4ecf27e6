import type { ContainerCreateOptions } from 'dockerode';
import type { RunPlan } from '../../model/run-plan.js';
import { outName } from './owner-labels.js';

export const MIB = 1024 ** 2;

/** What a sandbox and its collector have in common: the hardening that no plan can change (ATTACKS c). */
type CommonHost = NonNullable<ContainerCreateOptions['HostConfig']> & { readonly CgroupnsMode: 'private' };

/** Docker opens ICMP sockets to everybody, and lets a container forward when the host does. */
export const NETWORK_SYSCTLS = {
  'net.ipv4.ip_forward': '0',
  'net.ipv4.ping_group_range': '1 0',
  'net.ipv6.conf.all.disable_ipv6': '1',
  'net.ipv6.conf.default.disable_ipv6': '1',
} as const;

/** What every container of a run has, whatever runs in it: image, user, streams. */
export function commonOptions({ imageId, user }: Pick<RunPlan, 'imageId' | 'user'>): ContainerCreateOptions {
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

/** No new privileges, and this seccomp profile. */
export const securityOptions = (seccompProfile: string): string[] => [
  'no-new-privileges=true',
  `seccomp=${seccompProfile}`,
];

/** The hardening that no plan can change. */
export function commonHost(plan: RunPlan): CommonHost {
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

/** The volume of /out. */
export function outMount(runId: string, access: 'writable' | 'read-only') {
  return {
    Type: 'volume' as const,
    Source: outName(runId),
    Target: '/out',
    ReadOnly: access === 'read-only',
    VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
  };
}

/** Limits of each process. */
export function ulimits(limits: { files: number; cpuSeconds: number; fileBytes: number }) {
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
