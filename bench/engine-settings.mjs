import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { MAIN } from './world.mjs';

/** The settings of a run of this tag as the engine shows them, to be created again by others. */
export async function readSettings(tag, env) {
  const running = spawn(process.execPath, [MAIN, 'run', tag, '--', 'wait'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(running.stdout, 'data');
  const [id] = execFileSync('docker', ['ps', '-q', '--filter', `ancestor=${tag}`], {
    encoding: 'utf8',
  }).split('\n');
  const [found] = JSON.parse(execFileSync('docker', ['inspect', id], { encoding: 'utf8' }));
  await once(running, 'exit');
  return {
    ...found.Config,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    Cmd: [],
    Labels: {},
    Image: found.Image,
    HostConfig: found.HostConfig,
  };
}

/** The same settings as flags of `docker run`. */
export function toFlags({ User, Hostname, HostConfig: host }) {
  return [
    ...[
      '--rm',
      '--init',
      '--read-only',
      '--network',
      host.NetworkMode,
      '--user',
      User,
      '--hostname',
      Hostname,
    ],
    ...host.CapDrop.flatMap((name) => ['--cap-drop', name]),
    ...['--security-opt', 'no-new-privileges', '--security-opt', 'seccomp=policies/seccomp.json'],
    ...['--ipc', host.IpcMode, '--cgroupns', host.CgroupnsMode, '--oom-score-adj', host.OomScoreAdj],
    ...[
      '--memory',
      host.Memory,
      '--memory-swap',
      host.MemorySwap,
      '--cpus',
      host.NanoCpus / 1e9,
      '--pids-limit',
      host.PidsLimit,
    ],
    ...host.Ulimits.flatMap(({ Name, Soft, Hard }) => ['--ulimit', `${Name}=${Soft}:${Hard}`]),
    ...Object.entries(host.Tmpfs).flatMap(([path, mount]) => ['--tmpfs', `${path}:${mount}`]),
    ...[
      '--log-driver',
      host.LogConfig.Type,
      ...Object.entries(host.LogConfig.Config).flatMap(([key, value]) => ['--log-opt', `${key}=${value}`]),
    ],
    ...[
      '--dns',
      host.Dns[0],
      '--dns-search',
      host.DnsSearch[0],
      '--stop-signal',
      'SIGKILL',
      '--no-healthcheck',
    ],
  ].map(String);
}
