import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The tags of gateways that the engine has; global-teardown removes what the tests add to them. */
export const listGateways = () =>
  execFileSync('docker', ['images', 'sjs/sjs-gateway', '--format', '{{.Repository}}:{{.Tag}}'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((tag) => tag !== '');

const VERSION = '24.21.0';

/**
 * The world that the real tests stand in: a registry of their own with the base image in it, signed, and a policy that
 * trusts the signer. Engine, registry program, cosign and base come from `make setup` and `scripts/base`.
 */
export default function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'sjs-test-'));
  const run = (command, args, options = {}) =>
    execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options }).trim();
  run('docker', ['version', '--format', '{{.Server.Version}}']);
  const registry = run('scripts/registry', [join(directory, 'registry')]);
  const repository = `${registry}/base/node`;
  const reference = run('node', [
    'scripts/push-base.mjs',
    '.cache/bases/node/oci',
    `${repository}:${VERSION}`,
  ]);

  const env = { ...process.env, COSIGN_PASSWORD: '' };
  run('cosign', ['generate-key-pair', '--output-key-prefix', join(directory, 'base')], {
    env,
    cwd: directory,
  });
  const keyFile = join(directory, 'base.key');
  const annotations = ['-a', `version=${VERSION}`, '-a', `repository=${repository}`];
  run(
    'cosign',
    [
      'sign',
      '--key',
      keyFile,
      '--tlog-upload=false',
      '--yes',
      '--allow-insecure-registry',
      ...annotations,
      reference,
    ],
    { env },
  );
  const publicKey = readFileSync(join(directory, 'base.pub'), 'utf8');

  const policyFile = join(directory, 'policy.yaml');
  writeFileSync(
    policyFile,
    `apiVersion: sjs/v1
kind: Policy
defaults:
  base: { image: ${repository}, version: ">=24 <25" }
bases:
  - repository: ${registry}/base/*
    verify:
      keys:
        - publicKey: |
${publicKey.replace(/^/gm, '            ').trimEnd()}
      transparencyLog: none
`,
    { mode: 0o600 },
  );
  const world = {
    directory,
    registry,
    repository,
    version: VERSION,
    digest: reference.split('@')[1],
    reference,
    keyFile,
    publicKey,
    policyFile,
  };
  process.env.SJS_TEST_WORLD = JSON.stringify({ ...world, gateways: listGateways() });
}
