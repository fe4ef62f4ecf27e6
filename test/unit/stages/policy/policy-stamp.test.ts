import { chmod, rename, unlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { stampPolicy } from '../../../../src/stages/policy/load-policy.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

/** What was changed may be taken for what it was only when it was not changed just now. */
const settle = (): Promise<void> => delay(150);

test('the stamp of a policy changes with each file that it could come from', async () => {
  const folder = await makeFolder({ 'user.yaml': 'one', 'explicit.yaml': 'two' });
  const [user, machine, explicit] = ['user', 'machine', 'explicit'].map((name) =>
    join(folder, `${name}.yaml`),
  ) as [string, string, string];
  const sources = {
    operatorFiles: [machine, user],
    explicitFile: explicit,
    profilesDirectory: resolve('policies'),
  };
  const stamp = (): string | null => stampPolicy(sources);
  await settle();
  const seen = [stamp()];
  expect(stamp()).toBe(seen[0]);
  for (const change of [
    () => writeFile(user, 'TWO'),
    () => writeFile(machine, 'new'),
    () => chmod(explicit, 0o644),
    () => writeFile(`${user}.tmp`, 'TWO').then(() => rename(`${user}.tmp`, user)),
    () => unlink(machine),
  ]) {
    await change();
    await settle();
    seen.push(stamp());
  }
  expect(seen).not.toContain(null);
  // The last is as it was before there was a second file, but for what else has changed.
  expect(new Set(seen).size).toBe(seen.length);
});

test('a file that was changed just now, or cannot be looked at, has no stamp', async () => {
  const folder = await makeFolder({ 'user.yaml': 'one' });
  const profilesDirectory = resolve('policies');
  expect(stampPolicy({ operatorFiles: [join(folder, 'user.yaml')], profilesDirectory })).toBeNull();
  await settle();
  expect(stampPolicy({ operatorFiles: [join(folder, 'user.yaml')], profilesDirectory })).not.toBeNull();
  expect(stampPolicy({ operatorFiles: [join(folder, 'x'.repeat(5000))], profilesDirectory })).toBeNull();
});
