import { execFileSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  COSIGN_2,
  COSIGN_3,
  describeCosigns,
  describeWithCosign3,
  runCosign,
  type CosignGeneration,
} from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { docker, removeImages } from '../support/docker.js';
import { startRegistry } from '../support/registry-process.js';
import { startSecondEngine } from '../support/second-engine.js';
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

interface Pushed {
  readonly tag: string;
  readonly seal: string;
  readonly reference: string;
  readonly repository: string;
  readonly digest: string;
  readonly attestations: readonly string[];
  readonly isTrusted: boolean;
}

let keys: readonly [CosignKey, CosignKey];
let removeKeys: () => Promise<void>;
/** Where things are built, and where they are pulled to. */
let maker: string;
let taker: string;

beforeAll(async () => {
  const made = await makeCosignKeys(2);
  keys = [made.keys[0] as CosignKey, made.keys[1] as CosignKey];
  removeKeys = () => made.remove();
  maker = await makeFolder();
  taker = await makeFolder();
}, 60_000);
afterAll(() => removeKeys());

const pem = (key: string): string => key.trim().replace(/^/gm, '            ');

/** The policy of the world, with a word on sealed images; `more` goes into its rule. */
async function policyWith(
  sealed: { key?: string; dates?: string; more?: string; repository?: string } | null,
  others = '',
): Promise<string> {
  const text = await readFile(world.policyFile, 'utf8');
  const rule = sealed && [
    'sealed:',
    '  signers:',
    `  - repository: "${sealed.repository ?? `${world.registry}/sandboxes/*`}"`,
    '    verify:',
    '      keys:',
    `        - publicKey: |\n${pem(sealed.key ?? keys[0].publicKey)}`,
    ...(sealed.dates === undefined ? [] : [`          ${sealed.dates}`]),
    '      transparencyLog: none',
    ...(sealed.more === undefined ? [] : [`  ${sealed.more}`]),
  ];
  const file = join(await makeFolder(), 'policy.yaml');
  const place = text.replace('defaults:\n', `defaults:\n  repository: ${world.registry}/sandboxes\n`);
  await writeFile(file, `${place}${(rule ?? []).join('\n')}\n${others}`, { mode: 0o600 });
  return file;
}

const errorOf = ({ stdout }: ProcessResult) =>
  (JSON.parse(stdout) as { error: { code: string; message: string; location?: { file: string } } }).error;

/** Builds, pushes and signs; nothing is left of it in the engine but its tag. */
async function publish(
  name: string,
  { path }: Pick<CosignGeneration, 'path'> = COSIGN_2,
  flags: readonly string[] = ['--sign', '--key', keys[0].keyFile],
): Promise<Pushed> {
  const files = { 'sandbox.yaml': sandboxYaml(`${name}, version: 1.0.0`), 'index.js': PROGRAM };
  const env = { PATH: path, SJS_POLICY: await policyWith({}), COSIGN_PASSWORD: '' };
  const built = await runSjs(maker, ['build', await makeFolder(files), '--push', ...flags, '--json'], {
    env,
  });
  expect({ code: built.code, said: built.code === 0 ? '' : built.stdout + built.stderr }).toEqual({
    code: 0,
    said: '',
  });
  const { pushed, tag } = JSON.parse(built.stdout) as { tag: string; pushed: Pushed };
  images.add(tag);
  return pushed;
}
const PROGRAM = `console.log('signed', process.argv.slice(2).join())`;
const forget = (tag: string): void => void docker(['image', 'rm', tag]);

const FLAGS = ['--insecure-ignore-tlog=true', '--allow-insecure-registry'];
const publicFile = (key: CosignKey): string => key.keyFile.replace(/\.key$/, '.pub');

describeCosigns('a signed seal', (generation) => {
  let pushed: Pushed;
  const name = `signed-${generation.name.at(-1)}`;
  const as = (policy: string) => ({ env: { PATH: generation.path, SJS_POLICY: policy } });

  beforeAll(async () => {
    pushed = await publish(name, generation);
  }, 120_000);

  test('plain cosign agrees, and sees the seal', async () => {
    const args = ['--key', publicFile(keys[0]), ...FLAGS, pushed.reference];
    const signed = JSON.parse(await runCosign(generation, ['verify', '--output', 'json', ...args])) as {
      optional: Record<string, string>;
    }[];
    expect(signed.map(({ optional }) => optional)).toContainEqual(
      expect.objectContaining({ seal: pushed.seal, name, version: '1.0.0', repository: pushed.repository }),
    );
    expect(pushed.attestations).toContain('slsaprovenance1');
    for (const type of pushed.attestations) {
      const text = await runCosign(generation, ['verify-attestation', '--type', type, ...args]);
      const { payload } = JSON.parse(text) as { payload: string };
      expect(Buffer.from(payload, 'base64').toString()).toContain(pushed.seal.slice(7));
    }
  });

  test('comes in elsewhere, is verified, runs by its digest and is replayed', async () => {
    forget(pushed.tag);
    const policy = as(await policyWith({ more: 'attestations: [slsaprovenance1]' }));
    const early = await runSjs(taker, ['run', pushed.reference, '--json'], policy);
    expect([early.code, errorOf(early).code]).toEqual([127, 'TARGET_NOT_FOUND']);
    const pulled = await runSjs(taker, ['pull', pushed.reference, '--json'], policy);
    expect(JSON.parse(pulled.stdout)).toMatchObject({ tag: pushed.tag, seal: pushed.seal, wasKnown: false });
    expect(docker(['images', '-q', pushed.repository])).toBe('');
    for (const target of [pushed.reference, pushed.digest, pushed.tag]) {
      const run = await runSjs(taker, ['run', target, '--', 'a'], policy);
      expect(run).toMatchObject({ code: 0, stdout: 'signed a\n' });
    }
    expect(await runSjs(taker, ['replay', pushed.tag], policy)).toMatchObject({ code: 0 });
    const verified = await runSjs(taker, ['verify', pushed.tag, '--json'], policy);
    expect(JSON.parse(verified.stdout)).toMatchObject({
      verified: true,
      base: { image: world.repository },
      signature: { digest: pushed.digest, attestations: expect.arrayContaining(['slsaprovenance1']) },
      unchecked: [],
    });
  }, 120_000);

  test('is pushed and signed once, however often it is asked for', async () => {
    const again = await runSjs(maker, ['push', pushed.tag, '--sign', '--key', keys[0].keyFile, '--json'], {
      env: { PATH: generation.path, SJS_POLICY: await policyWith({}), COSIGN_PASSWORD: '' },
    });
    expect(JSON.parse(again.stdout)).toMatchObject({ wasPushed: false, digest: pushed.digest });
    const args = ['--key', publicFile(keys[0]), ...FLAGS, '--output', 'json', pushed.reference];
    const signed = JSON.parse(await runCosign(generation, ['verify', ...args])) as {
      optional?: { seal?: string };
    }[];
    expect(signed.filter(({ optional }) => optional?.seal !== undefined)).toHaveLength(1);
  });
});

describeWithCosign3('both generations', () => {
  test('cosign 3 verifies what cosign 2 signed; cosign 2 says that it finds nothing of cosign 3', async () => {
    const older = await publish('by-older', COSIGN_2);
    const newer = await publish('by-newer', COSIGN_3);
    const SJS_POLICY = await policyWith({ more: 'attestations: [slsaprovenance1]' });
    const pulled = await runSjs(taker, ['pull', older.reference], {
      env: { PATH: COSIGN_3.path, SJS_POLICY },
    });
    expect(pulled.code).toBe(0);
    const refused = await runSjs(taker, ['pull', newer.reference, '--json'], { env: { SJS_POLICY } });
    expect([refused.code, errorOf(refused).code]).toEqual([3, 'SEAL_UNSIGNED']);
    expect(refused.stdout).toContain('what cosign 3 signed, cosign 2 does not find');
  }, 120_000);
});

describe('before anything runs', () => {
  let pushed: Pushed;
  let env: { SJS_POLICY: string };
  beforeAll(async () => {
    pushed = await publish('refusals');
    env = { SJS_POLICY: await policyWith({ more: 'attestations: [slsaprovenance1]' }) };
    expect(await runSjs(taker, ['pull', pushed.reference], { env })).toMatchObject({ code: 0 });
    expect(await runSjs(taker, ['run', pushed.tag], { env })).toMatchObject({ code: 0, stdout: 'signed \n' });
  }, 120_000);

  /** A run and a replay are both refused, and nothing is printed. */
  const refuse = async (policy: string, home = taker): Promise<string> => {
    const codes: string[] = [];
    for (const verb of ['run', 'replay']) {
      const result = await runSjs(home, [verb, pushed.tag, '--json'], { env: { SJS_POLICY: policy } });
      expect(result.code).toBe(126);
      codes.push(errorOf(result).code);
    }
    expect(codes[1]).toBe(codes[0]);
    return codes[0] ?? '';
  };

  test.each([
    ['the rule is gone', { sealed: null }, 'SEAL_UNTRUSTED'],
    ['the rule trusts another key', { key: 1 }, 'SEAL_UNTRUSTED'],
    ['the rule is about another repository', { repository: 'elsewhere.example.com/*' }, 'SEAL_UNTRUSTED'],
    ['the key is out of date', { dates: 'notAfter: 2020-01-01T00:00:00Z' }, 'SEAL_KEY_OUT_OF_DATE'],
    ['more must be attested', { more: 'attestations: [cyclonedx, spdxjson]' }, 'ATTESTATION_MISSING'],
  ] as const)('%s', async (_what, change, code) => {
    const { key, ...rest } = { key: undefined, ...change } as { key?: number; sealed?: null };
    const sealed = rest.sealed === null ? null : { ...rest, ...(key === 1 && { key: keys[1].publicKey }) };
    expect(await refuse(await policyWith(sealed))).toBe(code);
  });

  test('its base is denied, by what was signed of it or by its manifest', async () => {
    const denied = await policyWith({}, `deny: { digests: ["${world.digest}"] }\n`);
    expect(await refuse(denied)).toBe('BASE_DENIED');
    const harmless = await policyWith({}, `deny: { digests: ["sha256:${'0'.repeat(64)}"] }\n`);
    expect(await runSjs(taker, ['run', pushed.tag], { env: { SJS_POLICY: harmless } })).toMatchObject({
      code: 0,
    });
  });

  test('the proof was edited, is gone, or comes from another SJS_HOME', async () => {
    const folder = join(taker, 'sjs/images');
    const name = (await readdir(folder)).find((one) => one.startsWith(pushed.seal.slice(7))) ?? '';
    const text = await readFile(join(folder, name), 'utf8');
    const entry = JSON.parse(text) as { signatures: { signers: object[] }[] };
    const [proof] = entry.signatures;
    const edits = [
      [{ ...proof, repository: `${world.registry}/sandboxes/other` }],
      [
        {
          ...proof,
          signers: proof?.signers.map((one) => ({ ...one, attestations: ['slsaprovenance1', 'cyclonedx'] })),
        },
      ],
      [{ ...proof, mac: '0'.repeat(64) }],
      [],
    ];
    try {
      for (const signatures of edits) {
        await writeFile(join(folder, name), JSON.stringify({ ...entry, signatures }));
        expect(await refuse(env.SJS_POLICY)).toBe('SEAL_PROOF_INVALID');
      }
    } finally {
      await writeFile(join(folder, name), text);
    }
    const foreign = await makeFolder({ [`sjs/images/${name}`]: text });
    const run = await runSjs(foreign, ['run', pushed.tag, '--json'], { env });
    expect([run.code, errorOf(run).code]).toEqual([126, 'SEAL_PROOF_INVALID']);
    expect(await runSjs(taker, ['run', pushed.tag], { env })).toMatchObject({ code: 0 });
  });

  test('one’s own seal, where the policy asks for a signature', async () => {
    const files = { 'sandbox.yaml': sandboxYaml('own-unsigned'), 'index.js': PROGRAM };
    const SJS_POLICY = await policyWith({ more: 'requireSigned: true' });
    const built = await runSjs(maker, ['build', await makeFolder(files)], { env });
    const tag = built.stdout.trim();
    images.add(tag);
    expect(await runSjs(maker, ['run', tag], { env })).toMatchObject({ code: 0 });
    const refused = await runSjs(maker, ['run', tag, '--json'], { env: { SJS_POLICY } });
    expect([refused.code, errorOf(refused)]).toEqual([
      126,
      expect.objectContaining({
        code: 'SEAL_UNSIGNED',
        location: expect.objectContaining({ file: SJS_POLICY }),
      }),
    ]);
    expect(await runSjs(maker, ['run', pushed.tag], { env: { SJS_POLICY } })).toMatchObject({ code: 0 });
  });
});

describe('a pull', () => {
  test.each([
    ['that nobody signed', [], 'SEAL_UNSIGNED'],
    ['that another signed', ['--sign', '--key', 'other'], 'SEAL_UNTRUSTED'],
  ])('of what is there %s is refused', async (what, flags, code) => {
    const used = flags.map((flag) => (flag === 'other' ? keys[1].keyFile : flag));
    const pushed = await publish(`pull-${what.replace(/ /g, '-')}`, COSIGN_2, used);
    forget(pushed.tag);
    const env = { SJS_POLICY: await policyWith({}) };
    const refused = await runSjs(taker, ['pull', pushed.reference, '--json'], { env });
    expect([refused.code, errorOf(refused).code]).toEqual([3, code]);
    expect(docker(['images', '-q', pushed.tag])).toBe('');
  });

  test('of a repository that no rule is about asks nobody', async () => {
    const env = { SJS_POLICY: await policyWith({}) };
    const refused = await runSjs(taker, ['pull', `127.0.0.1:1/x/y@sha256:${'0'.repeat(64)}`, '--json'], {
      env,
    });
    expect([refused.code, errorOf(refused).code]).toEqual([3, 'SEAL_UNTRUSTED']);
  });

  test('of another image under a signature that says this seal is refused', async () => {
    const pushed = await publish('swapped');
    // The same key signs, with the seal of the first, what a builder of bad faith made.
    const evil = `${pushed.repository}:evil`;
    images.add(evil);
    const text = `FROM ${pushed.tag}\nENTRYPOINT ["node", "-e", "console.log('evil')"]\n`;
    docker(['build', '-q', '-t', evil, '-'], { input: text });
    docker(['push', '-q', evil]);
    const names = docker(['image', 'inspect', '--format', '{{join .RepoDigests " "}}', evil]).split(' ');
    const reference = names.find((name) => name.startsWith(`${pushed.repository}@`)) ?? '';
    await runCosign(COSIGN_2, [
      ...['sign', '--key', keys[0].keyFile, '--yes', '--tlog-upload=false', '--allow-insecure-registry'],
      ...['-a', `seal=${pushed.seal}`, '-a', `repository=${pushed.repository}`, reference],
    ]);
    const env = { SJS_POLICY: await policyWith({}) };
    const refused = await runSjs(taker, ['pull', reference, '--json'], { env });
    expect([refused.code, errorOf(refused).code]).toEqual([3, 'SEAL_MISMATCH']);
    const verified = await runSjs(taker, ['verify', reference, '--json'], { env });
    expect([verified.code, errorOf(verified).code]).toEqual([3, 'SEAL_MISMATCH']);
  });
});

describe('a push', () => {
  test('is remembered of a seal that the engine lost and that is built again', async () => {
    const pushed = await publish('lost');
    forget(pushed.tag);
    const files = { 'sandbox.yaml': sandboxYaml('lost, version: 1.0.0'), 'index.js': PROGRAM };
    const env = { SJS_POLICY: await policyWith({}) };
    expect(await runSjs(maker, ['build', await makeFolder(files)], { env })).toMatchObject({ code: 0 });
    const listed = JSON.parse((await runSjs(maker, ['images', '--json'], { env })).stdout) as {
      tag: string;
      pushed: unknown;
      signatures: unknown;
    }[];
    expect(listed.find(({ tag }) => tag === pushed.tag)).toMatchObject({
      pushed: [{ repository: pushed.repository, digest: pushed.digest }],
      signatures: [{ digest: pushed.digest }],
    });
  }, 120_000);

  test('never moves a tag that names another seal, and leaves nothing in the engine', async () => {
    const files = { 'sandbox.yaml': sandboxYaml('pushed-over, version: 1.0.0'), 'index.js': PROGRAM };
    const env = { SJS_POLICY: await policyWith({}) };
    const built = await runSjs(maker, ['build', await makeFolder(files), '--json'], { env });
    const { tag } = JSON.parse(built.stdout) as { tag: string };
    images.add(tag);
    const there = `${world.registry}/sandboxes/pushed-over:${tag.split(':')[1]}`;
    docker(['tag', world.reference, there]);
    docker(['push', '-q', there]);
    docker(['image', 'rm', there]);
    const refused = await runSjs(maker, ['push', tag, '--json'], { env });
    expect([refused.code, errorOf(refused).code]).toEqual([3, 'SEAL_REFUSED']);
    const other = await runSjs(maker, ['push', tag, `${world.registry}/elsewhere`, '--json'], { env });
    expect(other.code).toBe(0);
    expect(docker(['images', '-q', `${world.registry}/elsewhere/pushed-over`])).toBe('');
  });

  test('goes nowhere without a repository, and into a registry that is not there with its words', async () => {
    const env = { SJS_POLICY: world.policyFile };
    const files = { 'sandbox.yaml': sandboxYaml('pushed-nowhere'), 'index.js': PROGRAM };
    const built = await runSjs(maker, ['build', await makeFolder(files)], { env });
    images.add(built.stdout.trim());
    const nowhere = await runSjs(maker, ['push', 'pushed-nowhere', '--json'], { env });
    expect([nowhere.code, errorOf(nowhere).code]).toEqual([2, 'USAGE']);
    const gone = await runSjs(maker, ['push', 'pushed-nowhere', '127.0.0.1:1/x', '--json'], { env });
    expect([gone.code, errorOf(gone).code]).toEqual([5, 'REGISTRY_UNREACHABLE']);
  });
});

describe('verify', () => {
  test('goes by the proof when the registry is gone, and says what it did not check', async () => {
    const registry = await startRegistry();
    const files = { 'sandbox.yaml': sandboxYaml('offline'), 'index.js': PROGRAM };
    const SJS_POLICY = await policyWith({ repository: `${registry.host}/seals/*` });
    const env = { SJS_POLICY, COSIGN_PASSWORD: '' };
    const flags = [
      '--push',
      '--repository',
      `${registry.host}/seals`,
      '--sign',
      '--key',
      keys[0].keyFile,
      '--json',
    ];
    const built = await runSjs(maker, ['build', await makeFolder(files), ...flags], { env });
    const { tag } = JSON.parse(built.stdout) as { tag: string };
    images.add(tag);
    expect(await runSjs(maker, ['verify', tag], { env })).toMatchObject({ code: 0 });
    await registry.stop();
    const online = await runSjs(maker, ['verify', tag, '--json'], { env });
    expect([online.code, errorOf(online).code]).toEqual([5, 'REGISTRY_UNREACHABLE']);
    const offline = await runSjs(maker, ['verify', '--offline', tag, '--json'], { env });
    expect(JSON.parse(offline.stdout)).toMatchObject({
      signature: { verifiedAt: expect.any(String) },
      unchecked: [expect.stringContaining('signature of the base')],
    });
    const elsewhere = await policyWith({ key: keys[1].publicKey, repository: `${registry.host}/seals/*` });
    const distrusted = await runSjs(maker, ['verify', '--offline', tag, '--json'], {
      env: { SJS_POLICY: elsewhere },
    });
    expect([distrusted.code, errorOf(distrusted).code]).toEqual([3, 'SEAL_UNTRUSTED']);
  });
});

describeCosigns('a statement, where there is no registry', (generation) => {
  test('goes with an export, and lets it in where the policy trusts who signed', async () => {
    const name = `statement-${generation.name.at(-1)}`;
    const files = { 'sandbox.yaml': sandboxYaml(name), 'index.js': PROGRAM };
    const SJS_POLICY = await policyWith({ repository: 'sjs/*', more: 'requireSigned: true' });
    const env = { PATH: generation.path, SJS_POLICY, COSIGN_PASSWORD: '' };
    const flags = ['--sign', '--key', keys[0].keyFile, '--json'];
    const built = await runSjs(maker, ['build', await makeFolder(files), ...flags], { env });
    const { tag, signed } = JSON.parse(built.stdout) as { tag: string; signed: { isTrusted: boolean } };
    images.add(tag);
    expect(signed.isTrusted).toBe(true);
    expect(await runSjs(maker, ['run', tag], { env })).toMatchObject({ code: 0 });
    const file = join(await makeFolder(), 'seal.tar');
    expect(await runSjs(maker, ['export', tag, file], { env })).toMatchObject({ code: 0 });
    forget(tag);

    const home = await makeFolder();
    for (const [sealed, code] of [
      [null, 'SEAL_UNTRUSTED'],
      [{ repository: 'sjs/other' }, 'SEAL_UNTRUSTED'],
      [{ repository: 'sjs/*', key: keys[1].publicKey }, 'STATEMENT_UNVERIFIED'],
      [{ repository: 'sjs/*', dates: 'notAfter: 2020-01-01T00:00:00Z' }, 'SEAL_KEY_OUT_OF_DATE'],
    ] as const) {
      const policy = { env: { ...env, SJS_POLICY: await policyWith(sealed) } };
      const refused = await runSjs(home, ['import', file, '--json'], policy);
      expect([refused.code, errorOf(refused).code]).toEqual([3, code]);
    }
    expect(await runSjs(home, ['import', file], { env })).toMatchObject({ code: 0, stdout: `${tag}\n` });
    expect(await runSjs(home, ['run', tag, '--', 'c'], { env })).toMatchObject({ stdout: 'signed c\n' });
    const verified = await runSjs(home, ['verify', '--offline', tag, '--json'], { env });
    expect(JSON.parse(verified.stdout)).toMatchObject({
      signature: { repository: `sjs/${name}`, verifiedAt: null, provenance: { builder: expect.any(String) } },
    });
    // What it says to do by hand does it, with this cosign and without a network; of another seal it does not.
    const { commands } = JSON.parse(verified.stdout) as { commands: string[] };
    const heading = (at: string): number => commands.findIndex((line) => line.startsWith(`# with ${at}`));
    const inspecting = commands.findIndex((line) => line.startsWith('docker '));
    const [third, second] = [heading('cosign 3'), heading('cosign 2')];
    const ours =
      generation.name === 'cosign 2' ? commands.slice(second, inspecting) : commands.slice(third, second);
    const script = ['set -e', ...commands.slice(0, third), ...ours].join('\n');
    const shell = {
      env: { PATH: generation.path, HOME: home },
      cwd: await makeFolder(),
      stdio: 'pipe',
    } as const;
    execFileSync('bash', ['-c', script], shell);
    const { seal } = JSON.parse(verified.stdout) as { seal: string };
    const hex = seal.slice('sha256:'.length);
    expect(() =>
      execFileSync(
        'bash',
        ['-c', script.replaceAll(`${hex} `, `${hex.replace(/./g, '0')} `).replaceAll(`"${hex}"`, '"0"')],
        shell,
      ),
    ).toThrow();

    const gone = { env: { ...env, SJS_POLICY: await policyWith(null) } };
    const refused = await runSjs(home, ['run', tag, '--json'], gone);
    expect([refused.code, errorOf(refused).code]).toEqual([126, 'SEAL_UNTRUSTED']);

    // What is rebased from it is signed by nobody, and stands on the same word.
    const loose = { env: { ...env, SJS_POLICY: await policyWith({ repository: 'sjs/*' }) } };
    const base = `${world.repository}:${world.version}`;
    const rebased = (await runSjs(home, ['rebase', tag, '--base', base], loose)).stdout.trim();
    images.add(rebased);
    expect(await runSjs(home, ['run', rebased, '--', 'd'], loose)).toMatchObject({ stdout: 'signed d\n' });
    const revoked = await runSjs(home, ['run', rebased, '--json'], gone);
    expect([revoked.code, errorOf(revoked)]).toMatchObject([
      126,
      { code: 'SEAL_UNTRUSTED', message: expect.stringContaining(`was rebased from ${tag}`) },
    ]);
    const check = await runSjs(home, ['policy', 'check', rebased, tag, '--json'], gone);
    expect(JSON.parse(check.stdout)).toMatchObject({
      allowed: false,
      targets: [{ error: { code: 'SEAL_UNTRUSTED' } }, { error: { code: 'SEAL_UNTRUSTED' } }],
    });
  }, 120_000);
});

describe('a second engine', () => {
  test('that has only the registry and the public key runs it', async () => {
    const pushed = await publish('second-engine');
    const engine = await startSecondEngine({ imageStore: 'containerd' });
    try {
      const sealed = await policyWith({ more: 'attestations: [slsaprovenance1]' });
      const text = await readFile(sealed, 'utf8');
      const onlyKey = `apiVersion: sjs/v1\nkind: Policy\n${text.slice(text.indexOf('sealed:'))}`;
      const policy = join(await makeFolder(), 'policy.yaml');
      await writeFile(policy, onlyKey, { mode: 0o600 });
      const home = await makeFolder();
      const options = { env: { DOCKER_HOST: engine.host, SJS_POLICY: policy } };
      const pulled = await runSjs(home, ['pull', pushed.reference, '--json'], options);
      expect(JSON.parse(pulled.stdout)).toMatchObject({ seal: pushed.seal, tag: pushed.tag });
      expect(await runSjs(home, ['run', pushed.digest, '--', 'b'], options)).toMatchObject({
        code: 0,
        stdout: 'signed b\n',
      });
      expect(await runSjs(home, ['replay', pushed.tag], options)).toMatchObject({ code: 0 });
      expect(await runSjs(home, ['verify', pushed.tag], options)).toMatchObject({ code: 0 });
      const own = (tag: string) =>
        execFileSync('docker', ['--host', engine.host, 'images', '-q', tag]).toString();
      expect(own(pushed.tag)).not.toBe('');
      expect(own(pushed.repository)).toBe('');
    } finally {
      await engine.stop();
    }
  }, 240_000);
});
