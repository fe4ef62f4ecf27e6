import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { interleave, median, round } from '../measure.mjs';

/** `sjs verify` of a signed seal beside the calls of cosign that it stands for, and a receipt beside one call. */
export async function measure({ add, addRatio, wall, sjs, sums, world, folder }) {
  const key = join(folder, 'base.key');
  const registry = world.verifyBase.at(-1).split('/')[0];
  const policy = await readFile(world.env.SJS_POLICY, 'utf8');
  const publicKey = (await readFile(join(folder, 'base.pub'), 'utf8'))
    .trim()
    .replace(/^/gm, '              ');
  await writeFile(
    world.env.SJS_POLICY,
    `${policy.trimEnd()}
sealed:
  attestations: [slsaprovenance1, cyclonedx, spdxjson]
  signers:
    - repository: ${registry}/sandboxes/*
      verify:
        keys:
          - publicKey: |
${publicKey}
        transparencyLog: none
`,
  );
  const sandbox = await world.makeSandbox('signed', { 'index.js': 'console.log("hello");\n' });
  const repository = ['--repository', `${registry}/sandboxes`];
  const built = JSON.parse(
    world.sjs(['build', sandbox, '--push', '--sign', '--key', key, ...repository, '--json']),
  );
  const flags = [
    '--key',
    join(folder, 'base.pub'),
    '--insecure-ignore-tlog=true',
    '--allow-insecure-registry',
  ];
  const ask = (...words) => wall(['cosign', ...words, ...flags, built.pushed.reference]);
  const attested = (type) => () => ask('verify-attestation', '--type', type);
  const calls = await interleave(10, {
    sjs: () => wall(sjs('verify', built.tag)),
    base: () => wall(world.verifyBase),
    image: () => ask('verify'),
    provenance: attested('slsaprovenance1'),
    cyclonedx: attested('cyclonedx'),
    spdx: attested('spdxjson'),
  });
  addRatio(
    'verify',
    '`sjs verify` of a signed seal with provenance and two bills of materials',
    1.3,
    calls.sjs,
    [
      'the five calls of `cosign` that it stands for, one after the other',
      sums(calls.base, calls.image, calls.provenance, calls.cyclonedx, calls.spdx),
    ],
  );

  world.sjs(['run', built.tag]);
  const [{ id }] = JSON.parse(world.sjs(['runs', '--json']));
  const blob = join(folder, 'work', 'blob');
  await writeFile(blob, 'x'.repeat(4096));
  const { createSjs } = await import(resolve('dist/index.js'));
  const library = createSjs({ env: world.env });
  const receipts = await interleave(10, {
    library: async () => {
      const begin = performance.now();
      await library.makeReceipt(id, { key });
      return performance.now() - begin;
    },
    sjs: () => wall(sjs('receipt', id, '--key', key, '--json')),
    node: () => wall([process.execPath, '-e', '0']),
    cosign: () => wall(['cosign', 'sign-blob', '--key', key, '--tlog-upload=false', '--yes', blob]),
  });
  const overCosign = (side) => round(median(side.map((ms, at) => ms - receipts.cosign[at])));
  add(
    'receipt',
    '`sjs receipt`, over one `cosign sign-blob`',
    { atMost: 50 },
    {
      value: overCosign(receipts.sjs),
      unit: 'ms',
      sjsMs: round(median(receipts.sjs)),
      rival: 'the start of Node, which is part of it',
      rivalMs: round(median(receipts.node)),
    },
  );
  add(
    'receipt-library',
    'a receipt by the library, over one `cosign sign-blob`',
    { atMost: 50 },
    {
      value: overCosign(receipts.library),
      unit: 'ms',
      sjsMs: round(median(receipts.library)),
      rival: 'that call',
      rivalMs: round(median(receipts.cosign)),
    },
  );
  await writeFile(world.env.SJS_POLICY, policy);
}
