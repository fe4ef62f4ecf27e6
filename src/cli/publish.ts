import { SjsError } from '../index.js';
import type { OptionSpec, VerbInput } from './verb.js';

/** How push and build sign. */
export const SIGN_OPTIONS = {
  sign: { describe: 'sign it, and attest how it was made and of what; without --key keyless' },
  key: {
    value: 'KEY',
    describe:
      'a file made by cosign generate-key-pair, or awskms://…, gcpkms://…, azurekms://…, hashivault://…, pkcs11:…',
  },
} as const satisfies Record<string, OptionSpec>;

/** What a build does with what it sealed. */
export const PUBLISH_OPTIONS = {
  push: { describe: 'push what was sealed to the repository that the policy states' },
  repository: { value: 'REPOSITORY', describe: 'push it there instead: registry/path, the name is added' },
  ...SIGN_OPTIONS,
} as const satisfies Record<string, OptionSpec>;

/** The key that was asked for; nothing leaves it unsigned. Throws `USAGE` for a key that would not be used. */
export function readSigning(input: VerbInput): { readonly sign?: string | true } {
  const key = input.value('key');
  if (input.has('sign')) return { sign: key ?? true };
  if (key === undefined) return {};
  throw new SjsError('USAGE', '--key says with what to sign, and nothing is to be signed', {
    next: 'add --sign',
  });
}

/** What a build was asked to do with what it sealed. Throws `USAGE` when it contradicts itself. */
export function readPublishing(input: VerbInput): {
  readonly push?: boolean;
  readonly repository?: string;
  readonly sign?: string | true;
} {
  const repository = input.value('repository');
  const push = input.has('push');
  if (repository !== undefined && !push) {
    throw new SjsError('USAGE', '--repository says where to push, and nothing is to be pushed', {
      next: 'add --push',
    });
  }
  return { ...readSigning(input), push, ...(repository !== undefined && { repository }) };
}
