import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { startMemberReaper } from '../../../../src/adapters/docker/reaper.js';
import { until } from '../../../support/until.js';

test('a reaper that somebody killed is known to be gone', async () => {
  const program = { nodePath: '/bin/true', reaperFile: `/nonexistent/${process.pid}-reaper` };
  const reaper = startMemberReaper(
    '01J0000000000000000000000A',
    { socketPath: '/nonexistent' } as never,
    program,
  );
  expect(reaper.isAlive()).toBe(true);
  execFileSync('pkill', ['-KILL', '-f', program.reaperFile]);
  await until('it is gone', () => Promise.resolve(!reaper.isAlive()));
  reaper.dismiss();
});
