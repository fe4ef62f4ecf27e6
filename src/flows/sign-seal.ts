import { SjsError } from '../errors.js';
import { PREDICATE_TYPES } from '../model/attestation-type.js';
import { hexOf } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { SigningKey } from '../model/signing-key.js';
import { STATEMENT_TYPE, type Statement } from '../model/statement.js';
import type { RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { buildProvenance } from '../stages/attest/provenance.js';
import { requiresSigned } from '../stages/policy/sealed-requirement.js';
import { readContents, type ContentTools } from './describe-contents.js';
import { findSealedImage } from './find-target.js';
import { verifySealStatement, type StatementTools } from './verify-seal-statement.js';
import { makeProof, withProof } from './trust-seal.js';

/** What signing the statement of a seal needs of the world. */
export interface SignTools extends StatementTools, ContentTools {
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly loadPolicy: () => Promise<Policy>;
}

/** A seal whose statement was signed. */
export interface SignResult {
  readonly tag: string;
  readonly seal: string;
  /** Whether this policy trusts who signed. */
  readonly isTrusted: boolean;
}

/**
 * Signs the statement of a seal where there is no registry: its provenance, with the seal for a subject. It is kept in
 * SJS_HOME, and an export has it with it.
 * @throws SjsError `BUILD_UNKNOWN`, as {@link StatementSigner}, as finding the image does.
 */
export async function signSeal(
  target: string,
  key: SigningKey,
  tools: SignTools,
  signal?: AbortSignal,
): Promise<SignResult> {
  const [sealed, policy] = await Promise.all([findSealedImage(target, tools, signal), tools.loadPolicy()]);
  const { entry, labels } = sealed;
  const statement: Statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: entry.tag, digest: { sha256: hexOf(entry.seal) } }],
    predicateType: PREDICATE_TYPES.slsaprovenance1,
    predicate: buildProvenance(await readContents(sealed, tools, signal)),
  };
  tools.reporter.step('sign', `the statement of ${entry.tag}`);
  const text = await tools.statements.signStatement(statement, key, signal);
  await tools.store.saveSealStatement(entry.seal, text);
  let isTrusted = false;
  try {
    const found = await verifySealStatement(text, { ...entry, ...labels }, policy, tools, signal);
    const proof = await makeProof(entry.seal, found, [found.provenance.signedBase], tools);
    await tools.store.updateImage(entry.seal, (now) => withProof(now ?? entry, proof));
    isTrusted = true;
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    const words = `this policy does not trust who signed it: ${error.message}`;
    if (requiresSigned(policy)) tools.reporter.warn(words);
    else tools.reporter.debug(words);
  }
  tools.reporter.done();
  return { tag: entry.tag, seal: entry.seal, isTrusted };
}
