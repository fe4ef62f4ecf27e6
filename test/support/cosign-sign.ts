import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateAuthority } from './certificates.js';
import { runCosign, type CosignGeneration } from './cosign-generations.js';
import { makeTrustedRoot } from './trusted-root.js';

/** How to sign. */
export interface SignOptions {
  readonly keyFile: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** A certificate for the key, and who gave it out. */
  readonly certificate?: { readonly file: string; readonly authority: CertificateAuthority };
  /** For the files that cosign 3 wants. */
  readonly folder: string;
}

/** Has cosign itself sign, as somebody else than sjs would: the signature goes to the registry, and nowhere else. */
export async function signWithCosign(
  generation: CosignGeneration,
  target: string,
  options: SignOptions,
): Promise<void> {
  const { keyFile, annotations = {}, certificate } = options;
  await runCosign(generation, [
    ...['sign', '--key', keyFile, '--yes', '--allow-insecure-registry'],
    ...Object.entries(annotations).flatMap(([name, value]) => ['-a', `${name}=${value}`]),
    ...(certificate
      ? ['--certificate', certificate.file, '--certificate-chain', certificate.authority.certificateFile]
      : []),
    ...(generation.signsWith === 'flags' ? ['--tlog-upload=false'] : configurationFlags(options)),
    target,
  ]);
}

function configurationFlags({ folder, certificate }: SignOptions): string[] {
  const config = join(folder, 'signing-config.json');
  writeFileSync(
    config,
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
      rekorTlogConfig: {},
      tsaConfig: {},
    }),
  );
  const authorities = certificate ? [certificate.authority] : [];
  return ['--signing-config', config, ...trustedRootFlags(folder, authorities)];
}

/** Flags of `cosign verify` that name an authority. */
export function trustFlags(
  { signsWith }: CosignGeneration,
  folder: string,
  authority: CertificateAuthority,
): string[] {
  return signsWith === 'flags'
    ? ['--ca-roots', authority.certificateFile]
    : trustedRootFlags(folder, [authority]);
}

function trustedRootFlags(folder: string, authorities: readonly CertificateAuthority[]): string[] {
  const file = join(folder, 'trusted-root.json');
  const chains = authorities.map(({ certificateFile }) => [readFileSync(certificateFile, 'utf8')]);
  writeFileSync(file, makeTrustedRoot({ authorities: chains }));
  return ['--trusted-root', file];
}
