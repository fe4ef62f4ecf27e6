import { resolve } from 'node:path';
import { SjsError } from '../../errors.js';
import type { SigningKey } from '../../model/signing-key.js';
import { withSigningConfig } from './signing-config.js';
import { isThirdGeneration } from './cosign-version.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The beginnings of the names by which each service is found and believes who asks. */
const SERVICE_NAMES = {
  awskms: ['AWS_'],
  gcpkms: ['GOOGLE_', 'CLOUDSDK_'],
  azurekms: ['AZURE_'],
  hashivault: ['VAULT_', 'TRANSIT_SECRET_ENGINE_PATH'],
} as const;

/** Where cosign finds a token that says who signs: from the environment of a CI, or the machine's SPIFFE agent. */
const TOKEN_NAMES = [
  'SIGSTORE_ID_TOKEN',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'BUILDKITE_AGENT_ACCESS_TOKEN',
  'BUILDKITE_AGENT_ENDPOINT',
  'BUILDKITE_JOB_ID',
  'SPIFFE_ENDPOINT_SOCKET',
] as const;

/** Flags that name the key. An absolute path is a file: cosign also takes URLs and variables under `--key`. */
export function keyFlags(key: SigningKey): readonly string[] {
  if (key.kind === 'keyless') return [];
  return ['--key', key.kind === 'file' ? resolve(key.path) : key.reference];
}

/**
 * What of the operator's environment signing with this key needs. Verification never sees any of it.
 * @throws SjsError `USAGE` for keyless signing where nothing says who signs: cosign would open a browser and wait.
 */
export function keyEnvironment(key: SigningKey, env: Environment): Readonly<Record<string, string>> {
  switch (key.kind) {
    case 'file':
      // An empty password too must be said: without it cosign asks a terminal.
      return { COSIGN_PASSWORD: env['COSIGN_PASSWORD'] ?? '' };
    case 'service':
      return pick(env, (name) => SERVICE_NAMES[key.service].some((start) => name.startsWith(start)));
    case 'pkcs11':
      return pick(env, (name) => name.startsWith('COSIGN_PKCS11_'));
    case 'keyless': {
      const tokens = pick(env, (name) => (TOKEN_NAMES as readonly string[]).includes(name));
      if (Object.keys(tokens).length > 0) return tokens;
      throw new SjsError(
        'USAGE',
        'nothing here says who signs: keyless signing needs a token of an identity',
        {
          next: 'in GitHub Actions give the job permissions: id-token: write, elsewhere set SIGSTORE_ID_TOKEN; or sign with --key',
        },
      );
    }
  }
}

/**
 * Calls with the flags that keep a signature by a key to the registry: no log, no timestamps. A keyless one needs
 * Sigstore's services, which cosign knows.
 */
export function withSigningServices<T>(
  key: SigningKey,
  version: string,
  use: (flags: readonly string[]) => Promise<T>,
): Promise<T> {
  if (key.kind === 'keyless') return use([]);
  return isThirdGeneration(version) ? withSigningConfig(use) : use(['--tlog-upload=false']);
}

function pick(env: Environment, isWanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '' && isWanted(entry[0]),
    ),
  );
}
