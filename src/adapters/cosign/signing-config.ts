import { withTemporaryFiles } from '../process/temporary-files.js';

/** Names no services: nothing is sent anywhere but to the registry. What `cosign signing-config create` writes. */
const SIGNING_CONFIG = {
  mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
  rekorTlogConfig: {},
  tsaConfig: {},
};
/** Keeps cosign from fetching Sigstore's, which it would only use for services. */
export const EMPTY_TRUSTED_ROOT = JSON.stringify({
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
});

/** Calls with the flags that make cosign 3 sign with a key alone; the files behind them are removed afterwards. */
export function withSigningConfig<T>(use: (flags: readonly string[]) => Promise<T>): Promise<T> {
  return withTemporaryFiles(
    {
      'signing-config.json': JSON.stringify(SIGNING_CONFIG),
      'trusted-root.json': EMPTY_TRUSTED_ROOT,
    },
    (paths) =>
      use(['--signing-config', paths['signing-config.json'], '--trusted-root', paths['trusted-root.json']]),
  );
}
