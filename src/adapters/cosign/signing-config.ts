import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Names no services: nothing is sent anywhere but to the registry. What `cosign signing-config create` writes. */
const SIGNING_CONFIG = {
  mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
  rekorTlogConfig: {},
  tsaConfig: {},
};
/** Keeps cosign from fetching Sigstore's, which it would only use for services. */
const TRUSTED_ROOT = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };

/** Calls with the flags that make cosign 3 sign with a key alone; the files behind them are removed afterwards. */
export async function withSigningConfig<T>(use: (flags: readonly string[]) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-cosign-'));
  try {
    const config = join(folder, 'signing-config.json');
    const root = join(folder, 'trusted-root.json');
    await Promise.all([
      writeFile(config, JSON.stringify(SIGNING_CONFIG)),
      writeFile(root, JSON.stringify(TRUSTED_ROOT)),
    ]);
    return await use(['--signing-config', config, '--trusted-root', root]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
