import { beforeAll, expect } from '@jest/globals';
import { attack, sealSandbox, type AttackSandbox, type SandboxOptions } from '../support/attack.js';
import { cleanFolders } from '../support/world.js';

cleanFolders();
let sandbox: AttackSandbox;
let seen: Awaited<ReturnType<typeof look>>;
beforeAll(async () => {
  sandbox = await sealSandbox();
  seen = await look();
}, 120_000);

const LOOK = `{ ids: [process.getuid(), process.getgid(), process.getgroups()], status: read('/proc/self/status') }`;
const look = () => sandbox.ask<{ ids: [number, number, number[]]; status: string }>(LOOK);
const withoutSecurity = (name: string) => (options: SandboxOptions) => {
  const given = options.HostConfig.SecurityOpt as string[];
  options.HostConfig.SecurityOpt = given.filter((option) => !option.startsWith(name));
};
const field = (status: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';

attack(
  'K01',
  () => {
    expect(seen.ids).toEqual([65532, 65532, [65532]]);
    return `uid, gid and groups ${seen.ids.join(', ')}`;
  },
  async () => {
    const ids = await sandbox.askWithout(
      (options) => (options.User = '0:0'),
      '[process.getuid(), process.getgid()]',
    );
    expect(ids).toEqual([0, 0]);
    return 'uid 0';
  },
);

attack(
  'K02',
  () => {
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(field(seen.status, set)).toBe('0000000000000000');
    }
    expect([field(seen.status, 'NoNewPrivs'), field(seen.status, 'Seccomp')]).toEqual(['1', '2']);
    return 'all five sets empty, NoNewPrivs 1, Seccomp 2';
  },
  async () => {
    const status = async (change: (options: SandboxOptions) => void): Promise<string> =>
      sandbox.askWithout(change, `read('/proc/self/status')`);
    const bounding = field(await status(({ HostConfig }) => (HostConfig.CapDrop = [])), 'CapBnd');
    const seccomp = field(
      await status((options) => {
        withoutSecurity('seccomp')(options);
        (options.HostConfig.SecurityOpt as string[]).push('seccomp=unconfined');
      }),
      'Seccomp',
    );
    const privileges = field(await status(withoutSecurity('no-new-privileges')), 'NoNewPrivs');
    expect(bounding).not.toBe('0000000000000000');
    expect([seccomp, privileges]).toEqual(['0', '0']);
    return `CapBnd ${bounding}; Seccomp 0; NoNewPrivs 0`;
  },
);
