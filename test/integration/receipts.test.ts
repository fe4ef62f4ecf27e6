import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createCosignStatements } from '../../src/adapters/cosign/cosign-statements.js';
import { sha256 } from '../../src/model/digest.js';
import { RECEIPT_TYPE, type Receipt, type ReceiptPredicate } from '../../src/model/receipt.js';
import type { RunRecord } from '../../src/model/record.js';
import { checkWithCosign } from '../support/check-statement.js';
import {
  COSIGN_2,
  COSIGN_3,
  describeCosigns,
  describeWithCosign3,
  runCosign,
  type CosignGeneration,
} from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { removeImages } from '../support/docker.js';
import {
  describeContent,
  INDEX,
  makeTinyImage,
  MANIFEST,
  pushImage,
  putManifest,
} from '../support/tiny-image.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

jest.setTimeout(120_000);
cleanFolders();
const images = removeImages();

const PROGRAM = `process.stdin.on('data', (data) => process.stdout.write(process.env.WORD + data));
process.stdin.on('end', () => require('fs').writeFileSync('/out/a.txt', 'left behind\\n'));`;

let home: string;
let made: Awaited<ReturnType<typeof makeCosignKeys>>;
let ours: CosignKey;
let theirs: CosignKey;
let tag: string;
let run: RunRecord & { readonly receipt: string };

const publicFile = (key: CosignKey): string => key.keyFile.replace(/key$/, 'pub');
const at = (name: string): string => join(home, name);
const sjs = (args: readonly string[], options: Parameters<typeof runSjs>[2] = {}) =>
  runSjs(home, args, { ...options, env: { COSIGN_PASSWORD: '', API_TOKEN: 'sesame', ...options.env } });
const errorOf = ({ stdout }: { stdout: string }) =>
  (JSON.parse(stdout) as { error: { code: string; message: string; next: string } }).error;
const statementIn = (text: string): Receipt => {
  const { dsseEnvelope } = JSON.parse(text) as { dsseEnvelope: { payload: string } };
  return JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString()) as Receipt;
};
const verify = (file: string, ...flags: string[]) => sjs(['receipt', 'verify', file, '--json', ...flags]);

beforeAll(async () => {
  home = await makeFolder();
  made = await makeCosignKeys(2);
  [ours, theirs] = made.keys as [CosignKey, CosignKey];
  const spec = '  secrets: [API_TOKEN]\n  env: { WORD: "said: " }\n  filesystem: { out: 1Mi }\n';
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('receipts', spec), 'index.js': PROGRAM });
  const built = await sjs(['build', folder]);
  expect({ code: built.code, error: built.code === 0 ? '' : built.stderr }).toEqual({ code: 0, error: '' });
  images.add((tag = built.stdout.trim()));
  const flags = [
    '-i',
    '--secret',
    'API_TOKEN',
    '--json',
    `--receipt=${at('run.json')}`,
    '--key',
    ours.keyFile,
  ];
  const ran = await sjs(['run', ...flags, '-e', 'LATER=1', tag, '--', 'one'], { input: 'hello\n' });
  expect({ code: ran.code, error: ran.stderr }).toEqual({ code: 0, error: '' });
  run = JSON.parse(ran.stdout) as typeof run;
});
afterAll(() => made?.remove());

describe('the receipt of a run', () => {
  test('says what the record says, of secrets the names alone, in the words of the record', async () => {
    const text = await readFile(at('run.json'), 'utf8');
    expect(run.receipt).toBe(sha256(text));
    const { predicateType, predicate, subject } = statementIn(text);
    expect(predicateType).toBe(RECEIPT_TYPE);
    const { id, seal, limits, engine, stdout, stdin, network, finishedAt } = run;
    expect(predicate).toMatchObject({ id, tag, seal, limits, engine, stdout, stdin, network, finishedAt });
    expect(predicate).toMatchObject({ state: 'succeeded', exitCode: 0, args: ['one'], env: { LATER: '1' } });
    expect(predicate).toMatchObject({
      secrets: ['API_TOKEN'],
      base: world.digest,
      replay: null,
      notKept: [],
    });
    expect(text + JSON.stringify(predicate)).not.toMatch(/sesame|owner/);
    expect(JSON.stringify(predicate)).not.toContain(run.secrets['API_TOKEN']);
    // Nothing that the program could choose.
    expect(subject).toEqual([{ name: tag, digest: { sha256: seal.slice('sha256:'.length) } }]);
    expect(predicate).toMatchObject({
      stdout: { digest: sha256('said: hello\n') },
      stderr: { digest: sha256('') },
      artifacts: [{ path: 'a.txt', digest: sha256('left behind\n') }],
    });
  });

  test('is kept beside the record, shown by inspect, printed again, and goes with rm', async () => {
    const { stdout } = await sjs(['inspect', run.id]);
    expect((JSON.parse(stdout) as { receipt: string }).receipt).toBe(run.receipt);
    expect((await stat(at(`sjs/receipts/${run.id}.json`))).mode & 0o777).toBe(0o600);
    const printed = await sjs(['receipt', run.id.slice(0, 12)]);
    expect(printed).toMatchObject({ code: 0, stdout: await readFile(at('run.json'), 'utf8') });
    const other = JSON.parse(
      (await sjs(['run', '--json', '--secret', 'API_TOKEN', tag])).stdout,
    ) as RunRecord;
    const unsigned = await sjs(['receipt', other.id, '--json']);
    expect(unsigned.code).toBe(2);
    expect(errorOf(unsigned)).toMatchObject({ code: 'USAGE', next: expect.stringContaining('--key') });
    await sjs(['receipt', other.id, '--key', ours.keyFile]);
    await sjs(['rm', other.id]);
    await expect(stat(at(`sjs/receipts/${other.id}.json`))).rejects.toThrow('ENOENT');
  });

  test('verifies by the key, here and where nobody knows the run, without engine and network', async () => {
    const here = await verify(at('run.json'), '--key', publicFile(ours));
    expect(here.code).toBe(0);
    const found = JSON.parse(here.stdout) as { receipt: ReceiptPredicate };
    expect(found).toMatchObject({ verified: true, digest: run.receipt, known: { run: true, seal: true } });
    const elsewhere = await makeFolder();
    const env = { DOCKER_HOST: 'unix:///nonexistent', SJS_HOME: join(elsewhere, 'sjs') };
    const there = await sjs(['receipt', 'verify', at('run.json'), '--key', publicFile(ours)], { env });
    expect(there).toMatchObject({ code: 0, stderr: '' });
    expect(there.stdout).toContain(`ok  run        ${run.id}, which is not known here`);
    expect(there.stdout).toContain(`stdout     ${sha256('said: hello\n')}, 12 bytes`);
  });

  test('verifies by whom the policy trusts for runs of that name, and by nobody else: not by who may seal it', async () => {
    const policy = await readFile(world.policyFile, 'utf8');
    const trusting = async (repository: string, key: CosignKey): Promise<string> => {
      const lines = JSON.stringify({
        signers: [{ repository, verify: { keys: [{ publicKey: key.publicKey }], transparencyLog: 'none' } }],
      });
      const file = at(`${sha256(repository + key.publicKey).slice(7, 15)}.yaml`);
      await writeFile(file, `${policy}\nsealed: ${lines}\n`, { mode: 0o600 });
      return file;
    };
    const ask = async (file: string) => verify(at('run.json'), '--policy', file);
    const trusted = await ask(await trusting('runs/receipts', ours));
    expect(trusted.code).toBe(0);
    expect(JSON.parse(trusted.stdout)).toMatchObject({ trustedBy: expect.stringContaining('.yaml:') });
    const other = await ask(await trusting('runs/receipts', theirs));
    expect([other.code, errorOf(other).code]).toEqual([3, 'STATEMENT_UNVERIFIED']);
    for (const file of [
      await trusting('runs/else', ours),
      await trusting('sjs/receipts', ours),
      world.policyFile,
    ]) {
      const none = await ask(file);
      expect([none.code, errorOf(none).code]).toEqual([3, 'SEAL_UNTRUSTED']);
      expect(errorOf(none).next).toContain('--key');
    }
  });

  test('of another key, changed, or no receipt at all is refused', async () => {
    const bundle = JSON.parse(await readFile(at('run.json'), 'utf8')) as {
      dsseEnvelope: { payload: string };
    };
    const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString();
    const write = async (name: string, text: string): Promise<string> => {
      await writeFile(at(name), text);
      return at(name);
    };
    const changed = Buffer.from(payload.replace('"exitCode":0', '"exitCode":1')).toString('base64');
    const envelope = { ...bundle.dsseEnvelope, payload: changed };
    const cases: [string, string, CosignKey][] = [
      [at('run.json'), 'STATEMENT_UNVERIFIED', theirs],
      [
        await write('changed', JSON.stringify({ ...bundle, dsseEnvelope: envelope })),
        'STATEMENT_CHANGED',
        ours,
      ],
      [await write('none', payload), 'STATEMENT_INVALID', ours],
    ];
    for (const [file, code, key] of cases) {
      const result = await verify(file, '--key', publicFile(key));
      expect([result.code, errorOf(result).code]).toEqual([3, code]);
    }
    const missing = await verify(at('nowhere'), '--key', publicFile(ours));
    expect([missing.code, errorOf(missing).code]).toEqual([2, 'FILE_NOT_FOUND']);
    const noKey = await verify(at('run.json'), '--key', at('run.json'));
    expect([noKey.code, errorOf(noKey).code]).toEqual([2, 'USAGE']);
  });

  test('that says otherwise than the record here, or than the index of the seal, is refused', async () => {
    const file = at(`sjs/runs/${run.id}.json`);
    const record = await readFile(file, 'utf8');
    await writeFile(file, record.replace('"exitCode":0', '"exitCode":7'));
    const result = await verify(at('run.json'), '--key', publicFile(ours)).finally(() =>
      writeFile(file, record),
    );
    expect([result.code, errorOf(result).code]).toEqual([3, 'RECEIPT_MISMATCH']);
    expect(errorOf(result).message).toContain('exitCode');
    const entry = at(`sjs/images/${run.seal.slice(7)}.json`);
    const text = await readFile(entry, 'utf8');
    await writeFile(entry, text.replaceAll(world.digest, sha256('another base')));
    const other = await verify(at('run.json'), '--key', publicFile(ours)).finally(() =>
      writeFile(entry, text),
    );
    expect([other.code, errorOf(other).message]).toEqual([3, expect.stringMatching(/base$/)]);
  });

  test('is not made of a run that was imported, nor of one that goes on', async () => {
    const file = at(`sjs/runs/${run.id}.json`);
    const record = await readFile(file, 'utf8');
    const ask = async (changes: object) => {
      await writeFile(file, JSON.stringify({ ...(JSON.parse(record) as object), ...changes }));
      const flags = ['--key', ours.keyFile, '--json'];
      return sjs(['receipt', run.id, ...flags]).finally(() => writeFile(file, record));
    };
    const imported = await ask({ imported: { at: run.createdAt } });
    expect([imported.code, errorOf(imported).code]).toEqual([1, 'RECEIPT_REFUSED']);
    expect(errorOf(imported).message).toContain('the word of somebody else');
    const open = await ask({ state: 'running', finishedAt: null });
    expect(errorOf(open).code).toBe('RUN_UNFINISHED');
  });

  test('says which content was gone when it was signed', async () => {
    const blob = at(`sjs/blobs/sha256/${sha256('said: hello\n').slice(7)}`);
    await mkdir(at('aside'), { recursive: true });
    await rename(blob, at('aside/blob'));
    const again = ['receipt', run.id, '--key', ours.keyFile];
    const { stdout } = await sjs(again).finally(() => rename(at('aside/blob'), blob));
    expect(statementIn(stdout).predicate.notKept).toEqual(['stdout']);
    await writeFile(at(`sjs/receipts/${run.id}.json`), await readFile(at('run.json')));
  });

  test('that could not be signed keeps the run from beginning, and so does a file that is no place', async () => {
    const runs = async (): Promise<number> =>
      (JSON.parse((await sjs(['runs', '--json'])).stdout) as []).length;
    const before = await runs();
    const key = at('run.json');
    const asked = ['--json', '--secret', 'API_TOKEN'];
    for (const bad of [key, at('nowhere.key')]) {
      const result = await sjs(['run', ...asked, '--receipt', '--key', bad, tag]);
      expect([result.code, errorOf(result).code]).toEqual([125, 'COSIGN_FAILED']);
    }
    const nowhere = [`--receipt=${at('no/such/folder/r.json')}`, '--key', ours.keyFile];
    const result = await sjs(['run', ...asked, ...nowhere, tag]);
    expect([result.code, errorOf(result).code]).toEqual([125, 'USAGE']);
    expect(await runs()).toBe(before);
    const unasked = await sjs(['run', '--json', '--key', key, tag]);
    expect(errorOf(unasked)).toMatchObject({ code: 'USAGE', next: expect.stringContaining('--receipt') });
  });
});

test('a replay is signed with its verdict, and refers to the receipt of the first run', async () => {
  const flags = ['--secret', 'API_TOKEN', `--receipt=${at('replay.json')}`, '--key', ours.keyFile];
  const result = await sjs(['replay', run.id, '--json', ...flags]);
  expect(result.code).toBe(0);
  const replayed = JSON.parse(result.stdout) as { replay: string; receipt: string };
  const { predicate } = statementIn(await readFile(at('replay.json'), 'utf8'));
  expect(predicate).toMatchObject({
    id: replayed.replay,
    replay: {
      of: run.id,
      receipt: run.receipt,
      isImported: false,
      verdict: { reproduced: true, differences: [] },
    },
  });
  const verified = await sjs(['receipt', 'verify', at('replay.json'), '--key', publicFile(ours)]);
  expect(verified.code).toBe(0);
  expect(verified.stdout).toContain(`reproduced: run ${run.id}; its receipt is ${run.receipt}`);
  // Known of the first run is only what is left of it.
  await rm(at(`sjs/runs/${run.id}.json`));
  expect(await verify(at('replay.json'), '--key', publicFile(ours))).toMatchObject({ code: 0 });
});

describeCosigns('receipts', (generation: CosignGeneration) => {
  test('plain cosign of both generations accepts what it signs, for the seal that it names', async () => {
    const env = { PATH: generation.path };
    const code = 'console.log("from a stranger")';
    const flags = [`--receipt=${at('stranger.json')}`, '--key', ours.keyFile];
    const ran = await sjs(['run', '--json', ...flags, '--eval', code], { env });
    expect({ code: ran.code, error: ran.stderr }).toEqual({ code: 0, error: expect.any(String) });
    const { tag: ranTag, seal } = JSON.parse(ran.stdout) as RunRecord;
    images.add(ranTag);
    const given = {
      file: at('stranger.json'),
      publicKeyFile: publicFile(ours),
      predicateType: RECEIPT_TYPE,
      about: { sha256: seal.slice('sha256:'.length) },
    };
    for (const stranger of process.env['SJS_TEST_COSIGN3'] === 'skip' ? [COSIGN_2] : [COSIGN_2, COSIGN_3]) {
      await checkWithCosign(stranger, given);
      const output = { sha256: sha256('from a stranger\n').slice('sha256:'.length) };
      if (stranger === COSIGN_2) continue;
      await expect(checkWithCosign(stranger, { ...given, about: output })).rejects.toThrow(/subject|digest/);
    }
    expect(await sjs(['receipt', 'verify', given.file, '--key', publicFile(ours)], { env })).toMatchObject({
      code: 0,
    });
  });
});

describeWithCosign3('a program that prints the manifest of an image', () => {
  const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

  /** Puts a bundle where cosign looks for signatures of an image, and has plain cosign verify that. */
  const verifyWith = async (
    bundle: string,
    path: string,
    image: Awaited<ReturnType<typeof makeTinyImage>>,
  ) => {
    const blobs = [Buffer.from('{}'), Buffer.from(bundle)] as const;
    const manifest = {
      ...{ schemaVersion: 2, mediaType: MANIFEST, artifactType: BUNDLE },
      config: describeContent('application/vnd.oci.empty.v1+json', blobs[0]),
      layers: [describeContent(BUNDLE, blobs[1])],
      subject: describeContent(MANIFEST, image.bytes),
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    const referrer = { digest: sha256(bytes), mediaType: MANIFEST, bytes, blobs, children: [] };
    await pushImage(world.registry, path, referrer.digest, referrer);
    const manifests = [{ ...describeContent(MANIFEST, bytes), artifactType: BUNDLE }];
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
    await putManifest(world.registry, path, image.digest.replace(':', '-'), INDEX, index);
    const flags = ['--key', publicFile(ours), '--insecure-ignore-tlog=true', '--allow-insecure-registry'];
    return runCosign(COSIGN_3, ['verify', ...flags, `${world.registry}/${path}@${image.digest}`]);
  };

  test('gets no signature of that image by the receipt of its run', async () => {
    const path = 'receipts/printed';
    const image = await makeTinyImage({ files: { path } });
    await pushImage(world.registry, path, 'printed', image);
    const printed = Buffer.from(image.bytes).toString();
    const flags = [`--receipt=${at('printed.json')}`, '--key', ours.keyFile];
    const ran = await sjs([
      'run',
      '--json',
      ...flags,
      '--eval',
      `process.stdout.write(${JSON.stringify(printed)})`,
    ]);
    const { tag: printer, stdout } = JSON.parse(ran.stdout) as RunRecord;
    images.add(printer);
    expect(stdout?.digest).toBe(image.digest);
    const receipt = await readFile(at('printed.json'), 'utf8');
    await expect(verifyWith(receipt, path, image)).rejects.toThrow(/no matching|subject|digest/);

    // The negative control: were the output a subject, it would be one.
    const statement = statementIn(receipt);
    const subject = [
      ...statement.subject,
      { name: 'stdout', digest: { sha256: image.digest.slice('sha256:'.length) } },
    ];
    const env = { ...process.env, PATH: COSIGN_3.path, COSIGN_PASSWORD: '' };
    const signer = createCosignStatements({ env, home });
    const forged = await signer.signStatement(
      { ...statement, subject },
      { kind: 'file', path: ours.keyFile },
    );
    await expect(verifyWith(forged, path, image)).resolves.toContain(RECEIPT_TYPE);
  });
});
