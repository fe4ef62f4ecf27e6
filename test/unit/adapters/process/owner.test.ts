import { expect, test } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { currentOwner, isOwnerAlive, isOwnerStopped } from '../../../../src/adapters/process/owner.js';
import { until } from '../../../support/until.js';

test('this process is alive, and is told from another with its pid', async () => {
  const owner = await currentOwner('/home');
  expect(owner).toMatchObject({ pid: process.pid, home: '/home' });
  expect(await isOwnerAlive(owner)).toBe(true);
  expect(await isOwnerAlive({ ...owner, bootId: 'before' })).toBe(false);
  // Without /proc there is only the pid to go by.
  if (owner.bootId === '') return;
  expect(await isOwnerAlive({ ...owner, startTime: '1' })).toBe(false);
  // In another pid namespace of this boot nobody can tell from here.
  const [boot] = owner.bootId.split(' ');
  expect(await isOwnerAlive({ ...owner, bootId: `${boot} pid:[1]`, startTime: '1' })).toBe(true);
});

test('a process that has ended is not alive', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  const owner = await currentOwner('/home');
  expect(await isOwnerAlive({ ...owner, pid: child.pid! })).toBe(false);
});

test('a process that is stopped lives, and is known to do nothing until it goes on', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  try {
    const startTime = execFileSync('sh', ['-c', `sed 's/.*) //' /proc/${child.pid}/stat | cut -d' ' -f20`]);
    const owner = {
      ...(await currentOwner('/home')),
      pid: child.pid!,
      startTime: startTime.toString().trim(),
    };
    expect([await isOwnerAlive(owner), await isOwnerStopped(owner)]).toEqual([true, false]);
    child.kill('SIGSTOP');
    await until('it is stopped', () => isOwnerStopped(owner));
    expect(await isOwnerAlive(owner)).toBe(true);
    expect(await isOwnerStopped({ ...owner, startTime: '1' })).toBe(false);
    child.kill('SIGCONT');
    await until('it goes on', async () => !(await isOwnerStopped(owner)));
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
});
