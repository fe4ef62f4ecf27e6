import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import { removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();

const images = removeImages();
let home: string;
let folder: string;
beforeAll(async () => {
  home = await makeFolder();
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('waived', '  resources: { memory: 96Mi }\n'),
    'index.js': 'console.log("ran")',
  });
});

/** The world's policy with more to it, as environment. */
async function withPolicy(more: string): Promise<{ env: Record<string, string> }> {
  const file = join(await makeFolder(), 'policy.yaml');
  await writeFile(file, `${await readFile(world.policyFile, 'utf8')}\n${more}`);
  await chmod(file, 0o600);
  return { env: { SJS_POLICY: file } };
}
const LOW = 'limits: { memory: 64Mi }\n';
const waive = (until: string): string =>
  `waivers: [{ sandbox: waived, folder: ${folder}, rule: limits.memory, until: ${until}, reason: the new parser }]\n`;

test('what is waived is said by plan, build and run, and stands in the record; once ended it counts no longer', async () => {
  const waived = await withPolicy(LOW + waive('2999-01-01'));
  const SAID = /limits\.memory is waived until 2999-01-01: the new parser \(.*policy\.yaml:\d+\)/;
  expect((await runSjs(home, ['plan', folder], waived)).stdout).toMatch(SAID);
  const built = await runSjs(home, ['build', folder], waived);
  expect(built).toMatchObject({ code: 0, stderr: expect.stringMatching(SAID) });
  const tag = built.stdout.trim();
  images.add(tag);
  const ran = await runSjs(home, ['run', tag], waived);
  expect(ran).toMatchObject({ code: 0, stdout: 'ran\n', stderr: expect.stringMatching(SAID) });
  const [record] = JSON.parse((await runSjs(home, ['runs', '--json'], waived)).stdout) as RunRecord[];
  expect(record?.waivers).toEqual([
    {
      rule: 'limits.memory',
      until: '2999-01-01',
      reason: 'the new parser',
      from: expect.stringMatching(/policy\.yaml:\d+$/),
    },
  ]);
  expect(await runSjs(home, ['policy', 'check', tag, folder], waived)).toMatchObject({ code: 0 });

  // Without the waiver, and with one that has ended, the same seal and the same sandbox.yaml are refused.
  for (const more of [LOW, LOW + waive('2020-01-01')]) {
    const without = await withPolicy(more);
    expect(await runSjs(home, ['run', tag], without)).toMatchObject({
      code: 126,
      stdout: '',
      stderr: expect.stringMatching(/POLICY_VIOLATION.*96Mi is more than the 64Mi/),
    });
    const check = await runSjs(home, ['policy', 'check', tag, folder, '--json'], without);
    expect([check.code, JSON.parse(check.stdout)]).toMatchObject([
      4,
      {
        allowed: false,
        targets: [
          {
            kind: 'sealed',
            error: {
              problems: [{ location: { path: 'resources.memory' }, policy: { path: 'limits.memory' } }],
            },
          },
          {
            kind: 'sandbox',
            error: {
              problems: [{ location: { path: 'spec.resources.memory' }, policy: { path: 'limits.memory' } }],
            },
          },
        ],
      },
    ]);
  }
  // What runs is what is judged: a run that asks for less is within the policy, waives nothing, and can be replayed.
  const without = await withPolicy(LOW);
  const tight = await runSjs(home, ['run', '--memory', '64Mi', tag], without);
  expect(tight).toMatchObject({ code: 0, stdout: 'ran\n', stderr: expect.not.stringMatching(/waived/) });
  const [judged] = JSON.parse((await runSjs(home, ['runs', '--json'], without)).stdout) as RunRecord[];
  expect(judged).toMatchObject({ limits: { memoryBytes: 64 * 1024 ** 2 } });
  expect(judged).not.toHaveProperty('waivers');
  expect(await runSjs(home, ['replay', String(judged?.id)], without)).toMatchObject({ code: 0 });
  expect(await runSjs(home, ['replay', String(record?.id)], without)).toMatchObject({
    code: 126,
    stderr: expect.stringMatching(/POLICY_VIOLATION.*96Mi is more than the 64Mi/),
  });

  // Its name is its author's word: the same text in another folder has no part in it, nor has its seal by that name.
  const evil = await makeFolder({
    'sandbox.yaml': sandboxYaml('waived', '  resources: { memory: 96Mi }\n'),
    'index.js': 'console.log("evil")',
  });
  for (const words of [
    ['build', evil],
    ['plan', evil],
    ['run', `${evil}/`],
  ])
    expect(await runSjs(home, words, waived)).toMatchObject({
      code: words[0] === 'run' ? 126 : 4,
      stderr: expect.stringMatching(/POLICY_VIOLATION.*96Mi is more than the 64Mi/),
    });
  const elsewhere = (await runSjs(home, ['build', evil], await withPolicy(''))).stdout.trim();
  images.add(elsewhere);
  expect(await runSjs(home, ['run', elsewhere], waived)).toMatchObject({ code: 126, stdout: '' });

  // Where nothing is waived nothing is said.
  const plain = await withPolicy('');
  expect((await runSjs(home, ['run', tag], plain)).stderr).not.toMatch(/waived/);
  expect(JSON.parse((await runSjs(home, ['runs', '--json'], plain)).stdout)[0]).not.toHaveProperty('waivers');
}, 120_000);

test('a build is refused below a floor of the engine, as a run is', async () => {
  const floored = await withPolicy('floors: { engine: "99.0.0" }\n');
  const { code, stderr } = await runSjs(home, ['build', folder], floored);
  expect([code, stderr]).toEqual([
    4,
    expect.stringMatching(/POLICY_VIOLATION.*engine is .*; .*policy\.yaml:\d+ asks for 99\.0\.0/),
  ]);
}, 60_000);
