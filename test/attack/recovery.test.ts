import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect } from '@jest/globals';
import { createDockerClient, type DockerClient } from '../../src/adapters/docker/client.js';
import { ownerLabels, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { currentOwner } from '../../src/adapters/process/owner.js';
import type { Owner } from '../../src/model/record.js';
import { attack, sealSandbox, type AttackSandbox } from '../support/attack.js';
import { proxyEngine } from '../support/engine-proxy.js';
import { makeRunId } from '../support/engine-run.js';
import { cleanFolders, runSjs } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);

let sandbox: AttackSandbox;
let client: DockerClient;
let owner: Owner;
beforeAll(async () => {
  sandbox = await sealSandbox();
  client = await createDockerClient({ env: process.env, home: homedir() });
  owner = await currentOwner(join(sandbox.home, 'sjs'));
}, 120_000);

const listed = async (...filters: string[]): Promise<string[]> =>
  (await execute('docker', ['ps', '-aq', ...filters.flatMap((filter) => ['--filter', filter])])).stdout
    .split('\n')
    .filter(Boolean);

const CREATE = /^POST \/containers\/create/;

attack(
  'X13',
  async () => {
    const proxy = await proxyEngine(client, CREATE, 'break off');
    try {
      const { code, stdout } = await runSjs(sandbox.home, ['run', '--json', sandbox.tag, '--', '0'], {
        env: { DOCKER_HOST: proxy.host },
      });
      expect([code, proxy.count()]).toEqual([125, 1]);
      expect(await listed(`label=dev.sjs.run.home=${owner.home}`)).toEqual([]);
      const { error } = JSON.parse(stdout) as { error: { code: string } };
      return `${error.code}; asked once, and the container that it never heard of is gone`;
    } finally {
      proxy.close();
    }
  },
  async () => {
    const proxy = await proxyEngine(client, CREATE, 'break off');
    const name = `sjs-attack-${makeRunId().toLowerCase()}`;
    try {
      await expect(
        execute('docker', ['-H', proxy.host, 'create', '--name', name, sandbox.imageId]),
      ).rejects.toThrow();
      expect(await listed(`name=${name}`)).toHaveLength(1);
      return 'the container is there, and stays';
    } finally {
      proxy.close();
      await execute('docker', ['rm', '-f', name]);
    }
  },
);

/** Whether a running container with this name and these labels is still there after every command that cleans up. */
async function survives(name: string, labels: Record<string, string>): Promise<boolean> {
  const container = await client.docker.createContainer({
    name,
    Image: sandbox.imageId,
    Cmd: ['setInterval(() => {}, 1000)'],
    Labels: labels,
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    await container.start();
    for (const command of ['prune', 'runs']) expect((await runSjs(sandbox.home, [command])).code).toBe(0);
    return (await listed(`id=${container.id}`, 'status=running')).length === 1;
  } finally {
    await container.remove({ force: true }).catch(() => {});
  }
}
const asRun = (of: Owner): Promise<boolean> => {
  const runId = makeRunId();
  return survives(sandboxName(runId), ownerLabels(runId, of));
};

attack(
  'X18',
  async () => {
    expect(await asRun(owner)).toBe(true);
    return 'the container of a living owner is left alone';
  },
  async () => {
    expect(await asRun({ ...owner, startTime: '1' })).toBe(false);
    return 'with its pid, but another start time, it is taken for dead, and removed';
  },
);

attack(
  'X19',
  async () => {
    const dead = { ...owner, startTime: '1' };
    expect(await survives(sandboxName(makeRunId()), {})).toBe(true);
    expect(await survives(`stranger-${makeRunId().toLowerCase()}`, ownerLabels(makeRunId(), dead))).toBe(
      true,
    );
    return 'with a name like a run’s, or with a run’s labels: both are left alone';
  },
  async () => {
    expect(await asRun({ ...owner, startTime: '1' })).toBe(false);
    return 'with both, it is removed';
  },
);
