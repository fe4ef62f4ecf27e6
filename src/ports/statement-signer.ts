import type { Statement } from '../model/statement.js';
import type { SigningKey } from '../model/signing-key.js';
import type { VerifyRequest } from './signature-verifier.js';

/** One question: is this statement, of this type, signed by this signer? */
export interface StatementQuestion extends Pick<VerifyRequest, 'signer' | 'trustedRoot' | 'transparencyLog'> {
  /** What `signStatement` gave. */
  readonly signed: string;
  readonly predicateType: string;
}

/** Signs statements and checks them, without a registry. */
export interface StatementSigner {
  /**
   * The statement, in canonical JSON (RFC 8785), as a Sigstore bundle with a DSSE envelope: the text of a file.
   * `COSIGN_FAILED` with cosign's words, `COSIGN_MISSING`, `COSIGN_UNSUPPORTED`, `COSIGN_TIMEOUT`,
   * `COSIGN_INVALID_ANSWER`; `USAGE` for keyless signing where nothing says who signs.
   */
  signStatement(statement: Statement, key: SigningKey, signal?: AbortSignal): Promise<string>;
  /**
   * The statement, when it verifies.
   * @throws `STATEMENT_INVALID` for what is none, or of another type; `STATEMENT_UNVERIFIED` when the signer did not
   * sign it; `STATEMENT_CHANGED` when it says that the key signed it, and the signature does not fit;
   * `COSIGN_UNSUPPORTED` for a certificate or a transparency log with cosign 2, which checks those only together with
   * the file that a statement is about; `COSIGN_MISSING`, `COSIGN_TIMEOUT`, `COSIGN_INVALID_ANSWER`.
   */
  verifyStatement(question: StatementQuestion, signal?: AbortSignal): Promise<Statement>;
}
