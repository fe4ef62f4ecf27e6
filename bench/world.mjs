import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

export const MAIN = resolve('dist/cli/main.cjs');
export const SOCKET = '/var/run/docker.sock';

/** An SJS_HOME of its own with a trusted base, below the folder that the `bench` script made. */
export async function openWorld(folder, registry) {
  await rm(join(folder, 'home'), { recursive: true, force: true });
  await rm(join(folder, 'work'), { recursive: true, force: true });
  await mkdir(join(folder, 'work'), { recursive: true });
  const env = {
    ...process.env,
    SJS_HOME: join(folder, 'home'),
    SJS_POLICY: join(folder, 'policy.yaml'),
    COSIGN_PASSWORD: '',
  };
  const sjs = (args, options = {}) =>
    execFileSync(process.execPath, [MAIN, ...args], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    });
  const image = `${registry}/base/node`;
  await rm(env.SJS_POLICY, { force: true });
  const source = `${registry}/staging/node:24.21.0`;
  sjs(['base', 'import', source, `${image}:24.21.0`, '--sign-key', join(folder, 'base.key'), '--trust']);
  const policy = await readFile(env.SJS_POLICY, 'utf8');
  await writeFile(
    env.SJS_POLICY,
    policy.replace(
      'kind: Policy\n',
      "kind: Policy\nextends: networked\nallow: { egress: ['*'], ports: ['127.0.0.1:*'] }\n",
    ),
  );

  /** Assembles one of the bases of scripts/bases/ if need be, signs it and trusts it, as that of Node above. */
  const importBase = (name) => {
    execFileSync('scripts/base', [name], { stdio: ['ignore', 'ignore', 'inherit'] });
    const layout = `.cache/bases/${name}/oci`;
    const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
    const version = manifests[0].annotations['org.opencontainers.image.ref.name'];
    const staged = `${registry}/staging/${name}:${version}`;
    execFileSync(process.execPath, ['scripts/push-base.mjs', layout, staged], { stdio: 'ignore' });
    const target = `${registry}/base/${name}:${version}`;
    sjs(['base', 'import', staged, target, '--sign-key', join(folder, 'base.key'), '--trust']);
  };

  /** Writes a sandbox of this source; returns its folder. */
  const makeSandbox = async (name, files, spec = '') => {
    const place = join(folder, 'work', name);
    await mkdir(join(place, 'src'), { recursive: true });
    for (const [path, content] of Object.entries(files)) await writeFile(join(place, 'src', path), content);
    const text = `apiVersion: sjs/v1
kind: Sandbox
metadata: { name: ${name}, version: 1.0.0 }
spec:
  language: node
  source: src
  entrypoint: index.js
${spec}`;
    await writeFile(join(place, 'sandbox.yaml'), text);
    return place;
  };

  /** The same build for the docker command: the Dockerfile that sjs renders, and the same files. Returns its folder. */
  const makeContext = async (sandbox, name) => {
    const { dockerfile } = JSON.parse(sjs(['plan', sandbox, '--json']));
    const place = join(folder, 'work', `${name}-context`);
    await mkdir(join(place, 'layer'), { recursive: true });
    execFileSync('cp', ['-r', join(sandbox, 'src'), join(place, 'layer', 'app')]);
    await writeFile(join(place, 'Dockerfile'), dockerfile);
    return place;
  };
  /** What anybody would ask cosign about the base. */
  const verifyBase = [
    ...['cosign', 'verify', '--key', join(folder, 'base.pub'), '--insecure-ignore-tlog=true'],
    ...['--allow-insecure-registry', `${image}:24.21.0`],
  ];
  return { env, sjs, importBase, makeSandbox, makeContext, verifyBase };
}
