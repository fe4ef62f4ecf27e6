import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { extract, pack } from 'tar-stream';
import { createReadStream } from 'node:fs';
import type { RunRecord } from '../../src/model/record.js';
import { startSecondEngine, type SecondEngine } from '../support/second-engine.js';
import { removeImages } from '../support/docker.js';
import {
  cleanFolders,
  makeFolder,
  runSjs,
  sandboxYaml,
  world,
  type ProcessResult,
} from '../support/world.js';

cleanFolders();
const images = removeImages();
const execute = promisify(execFile);

let engine: SecondEngine;
let home: string;
let other: string;
let file: string;
let run: RunRecord;
let second: RunRecord;

beforeAll(async () => {
  [engine, home, other] = await Promise.all([
    startSecondEngine({ imageStore: 'containerd' }),
    makeFolder(),
    makeFolder(),
  ]);
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('moved'),
    'index.js': 'process.stdin.pipe(process.stdout); console.error(process.argv.slice(2).join());\n',
  });
  expect((await runSjs(home, ['build', folder])).code).toBe(0);
  const record = async (input: string): Promise<RunRecord> =>
    JSON.parse((await runSjs(home, ['run', '--json', 'moved', '--', 'a'], { input })).stdout) as RunRecord;
  run = await record('what it read');
  second = await record('something else');
  file = join(home, 'job.tar');
});
afterAll(async () => {
  await Promise.allSettled([engine?.stop(), execute('docker', ['image', 'rm', '-f', run?.tag])]);
});

const there = (args: readonly string[]): Promise<ProcessResult> =>
  runSjs(other, args, { env: { DOCKER_HOST: engine.host } });
const codeOf = ({ stdout }: ProcessResult): unknown =>
  (JSON.parse(stdout) as { error?: { code: string } }).error?.code;

/** The same archive with one entry's content replaced. */
async function forge(
  name: string | RegExp,
  change: (text: string) => string,
  archive = file,
): Promise<string> {
  const forged = join(await makeFolder(), 'forged.tar');
  const [from, to] = [extract(), pack()];
  createReadStream(archive).pipe(from);
  const chunks: Uint8Array[] = [];
  const written = (async () => {
    for await (const chunk of to as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk);
  })();
  let changed = 0;
  for await (const entry of from) {
    const parts: Uint8Array[] = [];
    for await (const part of entry as AsyncIterable<Uint8Array>) parts.push(part);
    let content = Buffer.concat(parts);
    // What is forged is small; the layers of the base are passed on as they are.
    const isIt =
      typeof name === 'string'
        ? entry.header.name === name
        : name.test(entry.header.name) && content.length < 1024 ** 2;
    if (isIt) {
      content = Buffer.from(change(content.toString('latin1')), 'latin1');
      changed += 1;
    }
    if (entry.header.type === 'file') to.entry({ name: entry.header.name }, content);
  }
  to.finalize();
  await written;
  expect(changed).toBeGreaterThan(0);
  await writeFile(forged, Buffer.concat(chunks));
  return forged;
}

test('an export goes to another engine and another home, and its runs replay there', async () => {
  const exported = await runSjs(home, ['export', 'moved', file]);
  expect(exported).toMatchObject({ code: 0, stdout: `${file}\n` });
  expect(exported.stderr).toContain(run.seal);
  const { stdout: written } = await execute('tar', ['xOf', file, `sjs/runs/${run.id}.json`]);
  expect(JSON.parse(written)).toEqual({
    ...run,
    output: undefined,
    owner: { bootId: '', pid: 0, startTime: '', home: '' },
  });

  const refused = await there(['import', '--json', file]);
  expect({ code: refused.code, error: codeOf(refused) }).toEqual({ code: 3, error: 'SEAL_UNTRUSTED' });
  const wrong = await there(['import', '--json', '--trust', `sha256:${'0'.repeat(64)}`, file]);
  expect(codeOf(wrong)).toBe('SEAL_UNTRUSTED');
  const { stdout: nothing } = await execute('docker', ['-H', engine.host, 'image', 'ls', '-q']);
  expect(nothing).toBe('');

  const imported = await there(['import', '--json', '--trust', run.seal, file]);
  expect(JSON.parse(imported.stdout)).toMatchObject({
    tag: run.tag,
    seal: run.seal,
    wasKnown: false,
    runs: expect.arrayContaining([run.id, second.id]),
  });
  const replayed = await there(['replay', '--json', run.id]);
  expect(replayed.code).toBe(0);
  expect(JSON.parse(replayed.stdout)).toMatchObject({
    reproduced: true,
    replay: expect.any(String),
  });
  const { replay } = JSON.parse(replayed.stdout) as { replay: string };
  expect(JSON.parse((await there(['inspect', replay])).stdout)).toMatchObject({
    importedSeal: { trustedBy: 'hand' },
  });
  expect((await there(['logs', '--stdout', second.id])).stdout).toBe('something else');
  expect(JSON.parse((await there(['inspect', run.id])).stdout)).toMatchObject({
    imported: { at: expect.any(String) },
  });
  expect((await there(['images'])).stdout).toContain(', imported');
  // A name means what was built here.
  expect((await there(['run', 'moved'])).code).toBe(127);
  // What is known already comes in again without a word of trust, and replaces nothing.
  const again = await there(['import', '--json', file]);
  expect(JSON.parse(again.stdout)).toMatchObject({ wasKnown: true, runs: [] });
  // But not as what it is not.
  const other = await there(['import', '--json', '--trust', `sha256:${'0'.repeat(64)}`, file]);
  expect(codeOf(other)).toBe('SEAL_UNTRUSTED');
  // docker load takes it too.
  const { stdout: loaded } = await execute('docker', ['-H', engine.host, 'load', '-i', file]);
  expect(loaded).toContain('Loaded image');
});

test('one run goes alone; a seal that was made here needs no trust', async () => {
  const alone = join(home, 'run.tar');
  expect((await runSjs(home, ['export', '--json', run.id, alone])).code).toBe(0);
  const { stdout } = await execute('tar', ['tf', alone]);
  expect(stdout).toContain(`sjs/runs/${run.id}.json`);
  expect(stdout).not.toContain(second.id);
  await execute('docker', ['image', 'rm', '-f', run.tag]);
  expect((await runSjs(home, ['run', run.tag])).code).toBe(127);
  expect(await runSjs(home, ['import', alone])).toMatchObject({ code: 0, stdout: `${run.tag}\n` });
  expect((await runSjs(home, ['replay', run.id])).code).toBe(0);
  const image = join(home, 'image.tar');
  // As docker save does, a file that is there is replaced.
  await writeFile(image, 'old');
  const bare = await runSjs(home, ['export', '--json', '--no-runs', 'moved', image]);
  expect(JSON.parse(bare.stdout)).toMatchObject({ runs: [] });
  const both = await runSjs(home, ['export', '--no-runs', '--run', run.id, 'moved', image]);
  expect(both.code).toBe(2);
  const chosen = await runSjs(home, ['export', '--json', '--run', second.id, 'moved', image]);
  expect(JSON.parse(chosen.stdout)).toMatchObject({ runs: [second.id] });
});

test('a run that somebody edited comes in as such, and is not what its image is replayed by', async () => {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('edited'), 'index.js': 'console.log(1);\n' });
  const built = JSON.parse((await runSjs(home, ['build', '--json', folder])).stdout) as { tag: string };
  images.add(built.tag);
  const [first, newer] = [0, 1].map(async () => (await runSjs(home, ['run', '--json', 'edited'])).stdout);
  const ids = [await first, await newer].map((text) => (JSON.parse(text ?? '') as RunRecord).id).sort();
  const [own = '', theirs = ''] = ids;
  const alone = join(home, 'theirs.tar');
  expect((await runSjs(home, ['export', theirs, alone])).code).toBe(0);
  expect((await runSjs(home, ['rm', theirs])).code).toBe(0);
  const name = `sjs/runs/${theirs}.json`;
  const other = await forge(name, (text) => text.replace('"args":[]', '"args":["forged"]'), alone);
  expect((await runSjs(home, ['import', other])).code).toBe(0);
  expect((await runSjs(home, ['runs', '--name', 'edited'])).stdout).toContain(', imported');
  const fields = await runSjs(home, ['runs', '--name', 'edited', '--format', '{{.id}} {{.imported}}']);
  expect(fields.stdout.split('\n')).toEqual([expect.stringMatching(`^${theirs} \\{"at":"20`), `${own} `, '']);
  const replayed = await runSjs(home, ['replay', '--json', 'edited']);
  expect(JSON.parse(replayed.stdout)).toMatchObject({ original: own, reproduced: true });
});

/** The policy of the tests with more in it. */
async function policyWith(text: string): Promise<{ SJS_POLICY: string }> {
  const policy = join(await makeFolder(), 'policy.yaml');
  const base = await readFile(world.policyFile, 'utf8');
  await writeFile(policy, base.replace('kind: Policy\n', `kind: Policy\n${text}\n`), { mode: 0o600 });
  return { SJS_POLICY: policy };
}

test('while the policy denies digests, the base of what comes in is verified as that of a build', async () => {
  const bare = join(home, 'bare.tar');
  expect((await runSjs(home, ['export', '--no-runs', run.tag, bare])).code).toBe(0);
  const denying = await policyWith(`deny: { digests: ["sha256:${'1'.repeat(64)}"] }`);
  const denied = await policyWith(`deny: { digests: ["${world.digest}"] }`);
  const fresh = await makeFolder();
  const importing = (archive: string, env = {}): Promise<ProcessResult> =>
    runSjs(fresh, ['import', '--json', '--trust', run.seal, archive], { env });
  const running = async (env: Record<string, string>): Promise<unknown> => {
    const { code, stdout } = await runSjs(fresh, ['run', '--json', run.tag], { env });
    return code === 0 ? 'ran' : codeOf({ code, stdout, stderr: '' });
  };
  const forged = await forge(
    'sjs/export.json',
    (text) => text.replace(/"digest": "sha256:[0-9a-f]{64}"/, `"digest": "sha256:${'2'.repeat(64)}"`),
    bare,
  );
  expect(codeOf(await importing(forged, denying))).toBe('BASE_NOT_FOUND');
  expect(codeOf(await importing(bare, denied))).toBe('BASE_DENIED');
  // Nothing is denied: nothing hangs on it, until something is.
  expect((await importing(forged)).code).toBe(0);
  expect(await running({})).toBe('ran');
  expect(await running(denying)).toBe('BASE_DENIED');
  expect((await importing(bare, denying)).code).toBe(0);
  expect(await running(denying)).toBe('ran');
  expect(await running(denied)).toBe('BASE_DENIED');
});

test('an image with declared traffic runs where it came in: its gateway is built there', async () => {
  const env = await policyWith('extends: networked\nallow: { egress: ["a.test:443=192.0.2.1"] }');
  const network = '  network: { mode: isolated, egress: ["a.test:443=192.0.2.1"] }\n';
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('travels', `${network}  resources: { timeout: 30s }\n`),
    'index.js': 'console.log("ran");\n',
  });
  const maker = await makeFolder();
  const made = await runSjs(maker, ['build', '--json', folder], { env });
  const { tag, seal } = JSON.parse(made.stdout) as { tag: string; seal: string };
  for (const one of JSON.parse((await runSjs(maker, ['images', '--json'], { env })).stdout) as RunRecord[])
    images.add(one.tag);
  const archive = join(maker, 'travels.tar');
  expect((await runSjs(maker, ['export', tag, archive], { env })).code).toBe(0);
  const words = ['import', '--trust', seal, archive];

  const poor = await makeFolder();
  const text = await readFile(env.SJS_POLICY, 'utf8');
  await writeFile(join(poor, 'policy.yaml'), text.replace(/^defaults:\n.*\n/m, ''), { mode: 0o600 });
  const noBase = { SJS_POLICY: join(poor, 'policy.yaml') };
  expect(await runSjs(poor, words, { env: noBase })).toMatchObject({
    code: 0,
    stdout: `${tag}\n`,
    stderr: expect.stringContaining('state defaults.gateway in your policy'),
  });
  const refused = await runSjs(poor, ['run', '--json', tag], { env: noBase });
  expect({ code: refused.code, error: codeOf(refused) }).toEqual({ code: 125, error: 'GATEWAY_MISSING' });

  const fresh = await makeFolder();
  expect(await runSjs(fresh, words, { env })).toMatchObject({ code: 0, stdout: `${tag}\n` });
  expect(await runSjs(fresh, ['run', tag], { env })).toMatchObject({ code: 0, stdout: 'ran\n' });
});

describe('a forged export is refused, and the engine gets nothing of it', () => {
  const listImages = async (): Promise<string[]> =>
    (await execute('docker', ['-H', engine.host, 'image', 'ls', '-aq', '--no-trunc'])).stdout
      .split('\n')
      .sort();
  const importing = async (forged: string): Promise<unknown> => {
    const before = await listImages();
    const fresh = await makeFolder();
    const result = await runSjs(fresh, ['import', '--json', '--trust', run.seal, forged], {
      env: { DOCKER_HOST: engine.host },
    });
    expect(result.code).not.toBe(0);
    expect(await listImages()).toEqual(before);
    expect((await readdir(join(fresh, 'sjs/images')).catch(() => [])).length).toBe(0);
    return codeOf(result);
  };

  test('with another program in its layer', async () => {
    const forged = await forge(/^blobs\//, (text) =>
      text.replace('process.stdin.pipe', 'process.stdin.pipE'),
    );
    expect(await importing(forged)).toBe('SEAL_MISMATCH');
  });

  test('with another config', async () => {
    const forged = await forge(/^blobs\//, (text) => text.replace('"User":"65532:65532"', '"User":"0:0"'));
    expect(await importing(forged)).toBe('SEAL_MISMATCH');
  });

  test('with a record of another seal, broken contents, or no manifest', async () => {
    const seal = `sha256:${'1'.repeat(64)}`;
    expect(
      await importing(await forge(`sjs/runs/${run.id}.json`, (text) => text.replaceAll(run.seal, seal))),
    ).toBe('IMPORT_INVALID');
    const tagged = await forge(`sjs/runs/${run.id}.json`, (text) => text.replace(run.tag, 'sjs/other:1'));
    expect(await importing(tagged)).toBe('IMPORT_INVALID');
    expect(await importing(await forge('sjs/export.json', () => '{}'))).toBe('IMPORT_INVALID');
    expect(await importing(await forge('manifest.json', () => '[]'))).toBe('IMPORT_INVALID');
    expect(await importing(await forge(`sjs/runs/${run.id}.json`, () => '{}'))).toBe('STORE_INVALID');
    const junk = join(await makeFolder(), 'junk');
    await writeFile(junk, await readFile('package.json'));
    expect(await importing(junk)).toBe('IMPORT_INVALID');
  });

  test('with the tag of another image, which stays what it is', async () => {
    const forged = await forge('manifest.json', (text) =>
      text.replace('"RepoTags":null', '"RepoTags":["stolen:latest"]'),
    );
    const fresh = await makeFolder();
    const result = await runSjs(fresh, ['import', '--trust', run.seal, forged], {
      env: { DOCKER_HOST: engine.host },
    });
    expect(result.code).toBe(0);
    const { stdout } = await execute('docker', [
      '-H',
      engine.host,
      'image',
      'ls',
      '--format',
      '{{.Repository}}',
    ]);
    expect(stdout).not.toContain('stolen');
    expect(stdout).not.toContain('building');
  });
});
