import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { withStreamsOnly } from '../../../../src/adapters/docker/stream-sockets.js';

interface Profile {
  readonly syscalls: readonly { readonly names: readonly string[]; readonly args?: readonly object[] }[];
}
const text = readFileSync('policies/seccomp.json', 'utf8');

test('on a network the profile is the same, but for the type of INET and INET6 sockets', () => {
  const [before, after] = [text, withStreamsOnly(text)].map((one) => JSON.parse(one) as Profile);
  const changed = after!.syscalls.filter(
    (rule, at) => JSON.stringify(rule) !== JSON.stringify(before!.syscalls[at]),
  );
  const type = { index: 1, op: 'SCMP_CMP_MASKED_EQ', value: 15, valueTwo: 1 };
  expect(changed.map(({ names, args }) => ({ names, args }))).toEqual(
    [10, 2].map((value) => ({ names: ['socket'], args: [{ index: 0, op: 'SCMP_CMP_EQ', value }, type] })),
  );
  expect({ ...after, syscalls: before!.syscalls }).toEqual(before);
});

test('a profile whose rules are others is refused, never applied as it is', () => {
  const profile = JSON.parse(text) as Profile;
  const without = { ...profile, syscalls: profile.syscalls.filter(({ names }) => names[0] !== 'socket') };
  expect(() => withStreamsOnly(JSON.stringify(without))).toThrow(/other rules for sockets/);
  expect(() =>
    withStreamsOnly(JSON.stringify({ ...profile, syscalls: [...profile.syscalls, ...profile.syscalls] })),
  ).toThrow(/other rules/);
});
