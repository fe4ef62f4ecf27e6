import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { canonicalJson } from '../../src/model/canonical-json.js';
import { sha256 } from '../../src/model/digest.js';
import type { RunRecord } from '../../src/model/record.js';
import { COSIGN_2, runCosign } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { signWithCosign } from '../support/cosign-sign.js';
import { docker, removeImages } from '../support/docker.js';
import {
  makePackage,
  startRegistry as startPackages,
  writeLock,
  type TestRegistry,
} from '../support/package-registry.js';
import { startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { copyManifest, getManifest, putManifest } from '../support/tiny-image.js';
import {
  cleanFolders,
  installSjs,
  makeFolder,
  runSjs,
  sandboxYaml,
  world,
  type ProcessResult,
} from '../support/world.js';
import { TAMPERINGS, type TamperingId } from './tamperings.js';

cleanFolders();
const images = removeImages();

/** Puts back what was there. */
type Undo = () => unknown;
/** What a JSON file has. */
type Fields = Readonly<Record<string, unknown>>;
/** A command and what is done to it: it must succeed before and be refused after. */
interface Attempt {
  readonly command: () => Promise<ProcessResult>;
  readonly tamper: () => Promise<Undo>;
}

function walk(id: TamperingId, ...attempts: readonly Attempt[]): void {
  const { tried, command: words, code } = TAMPERINGS[id];
  test(`${id}: ${tried}: ${words} is refused with ${code}`, async () => {
    for (const { command, tamper } of attempts) {
      const untouched = await command();
      expect({ code: untouched.code, said: untouched.code === 0 ? '' : untouched.stderr }).toEqual({
        code: 0,
        said: '',
      });
      const undo = await tamper();
      const refused = await command().finally(undo);
      expect([refused.code !== 0, codeOf(refused)]).toEqual([true, code]);
    }
  }, 120_000);
}
const codeOf = ({ stderr }: ProcessResult): string => /^error\[([A-Z_]+)\]/m.exec(stderr)?.[1] ?? stderr;

interface Sealed {
  readonly tag: string;
  readonly seal: string;
  readonly imageId: string;
  readonly pushed: { readonly reference: string; readonly digest: string };
}

let registry: RunningRegistry;
let packages: TestRegistry;
let made: Awaited<ReturnType<typeof makeCosignKeys>>;
let ours: CosignKey;
let theirs: CosignKey;
/** Where things are sealed, and where they are pulled to. */
let maker: string;
let taker: string;
let env: Record<string, string>;
/** The sandbox with a dependency that is walked along, and one that is in no registry: its statement is signed. */
let app: Sealed;
let other: Sealed;
let appFolder: string;
/** Copies of the base and of the sealed image with something more in them. */
let evilBase: string;
let evil: string;
let run: RunRecord;
let receipt: string;
let installed: string;

const VERSION = '24.21.0';
const HIGHER = '24.22.0';
const BASE = 'base/walk';
const APP = 'sandboxes/walk';
const PROGRAM = `console.log(require('a'), require('fs').readFileSync(0, 'utf8'))`;

const sjs = (home: string, args: readonly string[], options: Parameters<typeof runSjs>[2] = {}) =>
  runSjs(home, args, { ...options, env: { ...env, ...options.env } });
async function succeed(home: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await sjs(home, args, { input });
  expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
  return stdout;
}
const seal = async (folder: string, ...flags: readonly string[]): Promise<Sealed> => {
  const key = ['--sign', '--key', ours.keyFile];
  const built = JSON.parse(await succeed(maker, ['build', folder, ...flags, ...key, '--json'])) as Sealed;
  images.add(built.tag);
  return built;
};
const publicFile = (key: CosignKey): string => key.keyFile.replace(/key$/, 'pub');
const signTag = (digest: string, kind: 'sig' | 'att'): string => `${digest.replace(':', '-')}.${kind}`;
const at = (path: string): string => `${registry.host}/${path}`;

/** Edits a file; undone, it has its bytes again. */
async function edit(file: string, change: (text: string) => string): Promise<Undo> {
  const before = await readFile(file);
  const text = change(before.toString('latin1'));
  expect(text).not.toBe(before.toString('latin1'));
  await writeFile(file, text, 'latin1');
  return () => writeFile(file, before);
}
const editJson = (file: string, change: (value: Fields) => object): Promise<Undo> =>
  edit(file, (text) => JSON.stringify(change(JSON.parse(text) as Fields)));

/** What lies under a tag of the registry is put back by it. */
async function keepTag(path: string, tag: string): Promise<Undo> {
  const { mediaType, bytes } = await getManifest(registry.host, path, tag);
  return () => putManifest(registry.host, path, tag, mediaType, bytes);
}
/** Has a tag name what another one, or a digest, of any repository names. */
async function retag(path: string, tag: string, from: string, reference: string): Promise<Undo> {
  const undo = await keepTag(path, tag);
  await copyManifest(registry.host, from, reference, path, tag);
  return undo;
}

/** An image over another with a label more, pushed; its digest. */
function pushEvil(from: string, label: string, name: string): string {
  images.add(name);
  docker(['build', '-q', '-t', name, '-'], { input: `FROM ${from}\nLABEL ${label}\n` });
  docker(['push', '-q', name]);
  const digests = docker(['image', 'inspect', '--format', '{{join .RepoDigests " "}}', name]).split(' ');
  const repository = name.slice(0, name.lastIndexOf(':'));
  return digests.find((one) => one.startsWith(`${repository}@`))?.split('@')[1] ?? '';
}

/** The rights in the labels of an image, with more memory. */
function widen(tag: string): string {
  const format = '{{index .Config.Labels "dev.sjs.plan"}}';
  const plan = JSON.parse(docker(['image', 'inspect', '--format', format, tag])) as { resources: object };
  return JSON.stringify({ ...plan, resources: { ...plan.resources, memoryBytes: 64 * 1024 ** 3 } });
}

async function writePolicy(): Promise<string> {
  const keyed = (key: string) => ({ keys: [{ publicKey: key }], transparencyLog: 'none' });
  const signer = (repository: string) => ({ repository, verify: keyed(ours.publicKey) });
  const policy = {
    apiVersion: 'sjs/v1',
    kind: 'Policy',
    defaults: { repository: at('sandboxes') },
    bases: [{ repository: at('base/*'), verify: keyed(world.publicKey) }],
    sealed: {
      signers: [at('sandboxes/*'), at('moved/*'), 'sjs/*'].map(signer),
      attestations: ['slsaprovenance1', 'cyclonedx'],
    },
  };
  const file = join(await makeFolder(), 'policy.yaml');
  await writeFile(file, JSON.stringify(policy), { mode: 0o600 });
  return file;
}

const baseOf = (path: string, version = VERSION): string =>
  `  base: { image: "${at(path)}", version: "${version}" }\n`;

async function writeApp(): Promise<string> {
  const tarballs = await Promise.all(['1.0.0', '1.0.1'].map((version) => packOf(version)));
  const [entry] = ['1.0.0', '1.0.1'].map((version, index) =>
    packages.add('a', version, tarballs[index] as Buffer),
  );
  return makeFolder({
    'sandbox.yaml': sandboxYaml('walk, version: 1.0.0', `${baseOf(BASE)}  dependencies: {}\n`),
    'index.js': PROGRAM,
    ...writeLock({ a: '^1.0.0' }, { 'node_modules/a': entry as object }),
  });
}
const packOf = (version: string, word = 'good'): Promise<Buffer> =>
  makePackage('a', version, { 'index.js': `module.exports = '${word}'` });

beforeAll(async () => {
  [registry, packages, made] = await Promise.all([startRegistry(), startPackages(), makeCosignKeys(2)]);
  [ours, theirs] = made.keys as [CosignKey, CosignKey];
  [maker, taker, installed] = await Promise.all([makeFolder(), makeFolder(), installSjs()]);
  env = {
    SJS_POLICY: await writePolicy(),
    COSIGN_PASSWORD: '',
    NPM_CONFIG_REGISTRY: `${packages.url}/`,
    NPM_CONFIG_FETCH_RETRIES: '0',
  };
  await Promise.all(
    [BASE, 'base/moved'].map((path) =>
      succeed(maker, [
        ...['base', 'import', world.reference, `${at(path)}:${VERSION}`],
        ...['--sign-key', world.keyFile],
      ]),
    ),
  );
  // Builds leave the engine with the names that they took the base by.
  for (const path of [BASE, 'base/moved']) images.add(`${at(path)}@${world.digest}`);
  evilBase = pushEvil(world.reference, 'evil=1', `${at(BASE)}:evil`);

  appFolder = await writeApp();
  app = await seal(appFolder, '--push');
  const plain = { 'sandbox.yaml': sandboxYaml('walk-other', baseOf(BASE)), 'index.js': '1' };
  other = await seal(await makeFolder(plain));
  await succeed(maker, ['push', app.tag, at('moved'), '--sign', '--key', ours.keyFile]);
  evil = pushEvil(app.tag, `dev.sjs.plan=${JSON.stringify(widen(app.tag))}`, `${at(APP)}:evil`);
  await succeed(taker, ['pull', app.pushed.reference]);

  receipt = join(maker, 'receipt.json');
  const flags = ['-i', '--json', `--receipt=${receipt}`, '--key', ours.keyFile];
  run = JSON.parse(await succeed(maker, ['run', ...flags, app.tag], 'some input')) as RunRecord;
}, 240_000);
afterAll(() => Promise.all([registry?.stop(), packages?.close(), made?.remove()]));

/** A build over the base, by version; with no lock to answer it. */
const buildOver = async (path: string, version?: string): Promise<ProcessResult> => {
  const yaml = sandboxYaml('walk-base', baseOf(path, version));
  const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.js': '1' });
  const result = await sjs(maker, ['build', folder, '--update']);
  if (result.code === 0) images.add(result.stdout.trim());
  return result;
};
const buildApp = (...flags: readonly string[]) => sjs(maker, ['build', appFolder, ...flags]);
/** Where nothing was built and fetched yet; of the base it knows what the maker does. */
const buildAnew = async (cache?: string): Promise<ProcessResult> => {
  const home = await makeFolder();
  await cp(join(maker, 'sjs/cache'), join(home, 'sjs/cache'), { recursive: true });
  if (cache !== undefined) await cp(cache, join(home, 'sjs/packages'), { recursive: true });
  return sjs(home, ['build', appFolder]);
};

walk('base-bytes', {
  command: async () => {
    const yaml = sandboxYaml('walk-base', `  base: { image: "${at(BASE)}", digest: "${world.digest}" }\n`);
    const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.js': '1' });
    return sjs(maker, ['build', folder]);
  },
  tamper: () => edit(registry.fileOf(world.digest), (text) => `${text}\n`),
});

walk('base-tag', {
  command: () => buildOver(BASE),
  tamper: () => retag(BASE, VERSION, BASE, evilBase),
});

walk('base-key', {
  command: () => buildOver(BASE),
  tamper: async () => {
    const annotations = { version: VERSION, repository: at(BASE) };
    const { keyFile } = theirs;
    await signWithCosign(COSIGN_2, `${at(BASE)}@${evilBase}`, { keyFile, annotations, folder: made.folder });
    return retag(BASE, VERSION, BASE, evilBase);
  },
});

walk('base-signature', {
  command: () => buildOver(BASE),
  tamper: async () => {
    await retag(BASE, signTag(evilBase, 'sig'), BASE, signTag(world.digest, 'sig'));
    return retag(BASE, VERSION, BASE, evilBase);
  },
});

walk('base-version', {
  command: () => buildOver(BASE, '>=24 <25'),
  tamper: async () => {
    await copyManifest(registry.host, BASE, VERSION, BASE, HIGHER);
    // A tag cannot be taken away without what it names: nobody else asks for a range.
    return () => undefined;
  },
});

walk('base-repository', {
  command: () => buildOver('base/moved'),
  tamper: () => retag('base/moved', signTag(world.digest, 'sig'), BASE, signTag(world.digest, 'sig')),
});

walk('package-manifest', {
  command: () => buildApp(),
  tamper: () => edit(join(appFolder, 'package.json'), (text) => text.replace('^1.0.0', '^2.0.0')),
});

walk('package-lock', {
  command: () => buildApp('--frozen'),
  tamper: async () => {
    const entry = packages.add('a', '1.0.1', await packOf('1.0.1'));
    return editJson(join(appFolder, 'package-lock.json'), ({ packages: locked, ...lock }) => ({
      ...lock,
      packages: { ...(locked as object), 'node_modules/a': entry },
    }));
  },
});

walk('sandbox-lock', {
  command: () => buildApp(),
  tamper: () =>
    edit(join(appFolder, 'sandbox.lock'), (text) =>
      text.replace(/("linux\/\w+": "sha256:)\w+/, `$1${'0'.repeat(64)}`),
    ),
});

walk('package-registry', {
  command: () => buildAnew(),
  tamper: async () => {
    const good = await packOf('1.0.0');
    packages.add('a', '1.0.0', await packOf('1.0.0', 'evil'));
    return () => packages.add('a', '1.0.0', good);
  },
});

walk('package-cache', {
  command: async () => {
    const tarballs = [...packages.tarballs];
    packages.tarballs.clear();
    return buildAnew(join(maker, 'sjs/packages')).finally(() => {
      for (const [path, tarball] of tarballs) packages.tarballs.set(path, tarball);
    });
  },
  tamper: async () => {
    const cache = join(maker, 'sjs/packages');
    const entries = await readdir(cache, { recursive: true, withFileTypes: true });
    const [file] = entries.filter((one) => one.isFile());
    const path = join(file?.parentPath ?? '', file?.name ?? '');
    const [before, bytes] = await Promise.all([readFile(path), packOf('1.0.0', 'evil')]);
    await writeFile(path, bytes);
    return () => writeFile(path, before);
  },
});

const indexEntry = (home: string): string => join(home, 'sjs/images', `${app.seal.slice(7)}.json`);

walk('seal-tag', {
  command: () => sjs(taker, ['run', app.tag]),
  tamper: () => {
    docker(['tag', `${at(APP)}:evil`, app.tag]);
    return Promise.resolve(() => docker(['tag', app.imageId, app.tag]));
  },
});

walk('seal-index', {
  command: () => sjs(maker, ['run', app.tag]),
  tamper: () =>
    editJson(indexEntry(maker), ({ base, ...entry }) => ({
      ...entry,
      base: { ...(base as object), manifestDigest: sha256('another') },
    })),
});

walk('seal-proof', {
  command: () => sjs(taker, ['run', app.tag]),
  tamper: () =>
    edit(indexEntry(taker), (text) => text.replace(/"attestations": \[/, '"attestations": ["spdxjson",')),
});

const appTag = (): string => app.tag.split(':')[1] ?? '';
const pullByTag = () => sjs(taker, ['pull', `${at(APP)}:${appTag()}`]);

walk('pushed-over', {
  command: pullByTag,
  tamper: () => retag(APP, appTag(), APP, evil),
});

walk('widened-copy', {
  command: pullByTag,
  tamper: async () => {
    const annotations = { seal: app.seal, repository: at(APP) };
    const { keyFile } = theirs;
    await signWithCosign(COSIGN_2, `${at(APP)}@${evil}`, { keyFile, annotations, folder: made.folder });
    return retag(APP, appTag(), APP, evil);
  },
});

walk('copied-signature', {
  command: pullByTag,
  tamper: async () => {
    await retag(APP, signTag(evil, 'sig'), APP, signTag(app.pushed.digest, 'sig'));
    return retag(APP, appTag(), APP, evil);
  },
});

walk('moved-seal', {
  command: () => sjs(taker, ['pull', `${at('moved/walk')}@${app.pushed.digest}`]),
  tamper: () =>
    retag('moved/walk', signTag(app.pushed.digest, 'sig'), APP, signTag(app.pushed.digest, 'sig')),
});

/** Attests more of the sealed image, by the key that signed it. */
async function attest(type: string, predicate: string): Promise<Undo> {
  const undo = await keepTag(APP, signTag(app.pushed.digest, 'att'));
  const file = join(await makeFolder({ 'predicate.json': predicate }), 'predicate.json');
  await runCosign(COSIGN_2, [
    ...['attest', '--key', ours.keyFile, '--yes', '--tlog-upload=false', '--allow-insecure-registry'],
    ...['--type', type, '--predicate', file, app.pushed.reference],
  ]);
  return undo;
}
const verifyApp = () => sjs(maker, ['verify', app.pushed.reference]);

walk('provenance', {
  command: verifyApp,
  tamper: async () => attest('slsaprovenance1', await succeed(maker, ['provenance', other.tag])),
});

/** What is attested of the sealed image, as a stranger reads it. */
async function readAttested(type: string): Promise<string> {
  const flags = ['--key', publicFile(ours), '--insecure-ignore-tlog=true', '--allow-insecure-registry'];
  const said = await runCosign(COSIGN_2, [
    ...['verify-attestation', '--type', type, ...flags, app.pushed.reference],
  ]);
  const { payload } = JSON.parse(said) as { payload: string };
  const statement = JSON.parse(Buffer.from(payload, 'base64').toString()) as { predicate: object };
  return JSON.stringify(statement.predicate);
}

walk('bill', {
  command: verifyApp,
  tamper: async () => {
    const bill = await readAttested('cyclonedx');
    expect(bill).toContain('pkg:npm/a@1.0.0');
    return attest('cyclonedx', bill.replaceAll('pkg:npm/a@1.0.0', 'pkg:npm/a@1.0.9'));
  },
});

walk('no-attestation', {
  command: pullByTag,
  tamper: async () => {
    const tag = signTag(app.pushed.digest, 'att');
    const undo = await keepTag(APP, tag);
    const { mediaType, bytes } = await getManifest(registry.host, APP, tag);
    const manifest = JSON.parse(Buffer.from(bytes).toString()) as { layers: object[] };
    const layers = manifest.layers.filter((layer) => !JSON.stringify(layer).includes('cyclonedx'));
    expect(layers.length).toBe(manifest.layers.length - 1);
    const text = JSON.stringify({ ...manifest, layers });
    await putManifest(registry.host, APP, tag, mediaType, Buffer.from(text));
    return undo;
  },
});

/** A content of SJS_HOME, by its digest. */
const blobOf = (content: RunRecord['stdout']): string =>
  join(maker, 'sjs/blobs/sha256', content?.digest.slice(7) ?? '');
const recordFile = (): string => join(maker, 'sjs/runs', `${run.id}.json`);

walk('kept-output', {
  command: () => sjs(maker, ['logs', run.id]),
  tamper: () => edit(blobOf(run.stdout), (text) => text.replace('good', 'evil')),
});

/** Changes what is said in a signed statement, and leaves the rest of it as it was. */
const editStatement = (file: string, change: (payload: string) => string): Promise<Undo> =>
  edit(file, (text) => {
    const bundle = JSON.parse(text) as { dsseEnvelope: { payload: string } };
    const payload = change(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString());
    expect(canonicalJson(JSON.parse(payload))).toBe(payload);
    const dsseEnvelope = { ...bundle.dsseEnvelope, payload: Buffer.from(payload).toString('base64') };
    return JSON.stringify({ ...bundle, dsseEnvelope });
  });
const verifyReceipt = () => sjs(maker, ['receipt', 'verify', receipt, '--key', publicFile(ours)]);
const statementFile = (): string => join(maker, 'sjs/statements', `${other.seal.slice(7)}.json`);

walk(
  'receipt-bytes',
  {
    command: verifyReceipt,
    tamper: () => editStatement(receipt, (text) => text.replace('"exitCode":0', '"exitCode":1')),
  },
  {
    command: () => sjs(maker, ['verify', '--offline', other.tag]),
    tamper: () =>
      editStatement(statementFile(), (text) => text.replace('"formatVersion":1', '"formatVersion":2')),
  },
);

walk('receipt-key', {
  command: verifyReceipt,
  tamper: async () => {
    const before = await readFile(receipt, 'utf8');
    await writeFile(receipt, await succeed(maker, ['receipt', run.id, '--key', theirs.keyFile]));
    return () => writeFile(receipt, before);
  },
});

walk('receipt-kind', {
  command: verifyReceipt,
  tamper: async () => {
    const statement = await readFile(statementFile(), 'latin1');
    return edit(receipt, () => statement);
  },
});

walk('receipt-record', {
  command: verifyReceipt,
  tamper: () => edit(recordFile(), (text) => text.replace('"exitCode":0', '"exitCode":7')),
});

const replay = (root?: string) => sjs(maker, ['replay', run.id], root === undefined ? {} : { root });

walk('replay-input', {
  command: () => replay(),
  tamper: () => edit(blobOf(run.stdin), (text) => text.replace('some', 'evil')),
});

walk('replay-limits', {
  command: () => replay(),
  tamper: () =>
    editJson(recordFile(), ({ limits, ...record }) => ({
      ...record,
      limits: { ...(limits as object), memoryBytes: 2 * 1024 ** 3 },
    })),
});

walk('replay-profile', {
  command: () => replay(installed),
  tamper: () => edit(join(installed, 'policies/seccomp.json'), () => '{"defaultAction":"SCMP_ACT_ALLOW"}'),
});
