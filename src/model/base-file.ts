import semver from 'semver';
import { SjsError } from '../errors.js';
import type { Digest } from './digest.js';
import { parseReference } from './reference.js';
import type { BaseRequest, Resources } from './sandbox.js';
import { readQuantity, show, type Report } from './schema-check.js';

/** A quantity as written. */
export type Quantity = string | number;

/** A base as written. */
export interface BaseFile {
  readonly image: string;
  readonly version?: string;
  readonly digest?: Digest;
}

/** Resources as written. */
export type ResourcesFile = Partial<
  Record<'cpu' | 'memory' | 'pids' | 'files' | 'timeout' | 'output', Quantity>
>;

/** A base request from its written form; exactly one of version and digest was checked. */
export function toBaseRequest(base: BaseFile): BaseRequest {
  return base.digest !== undefined
    ? { image: base.image, digest: base.digest }
    : { image: base.image, version: base.version ?? '' };
}

/** Resources in sjs's units; only those that are written. */
export function toResources(file: ResourcesFile): Partial<Resources> {
  return {
    ...(file.cpu !== undefined && { milliCpu: readQuantity('cpu', file.cpu) }),
    ...(file.memory !== undefined && { memoryBytes: readQuantity('bytes', file.memory) }),
    ...(file.pids !== undefined && { pids: readQuantity('count', file.pids) }),
    ...(file.files !== undefined && { files: readQuantity('count', file.files) }),
    ...(file.timeout !== undefined && { timeoutMs: readQuantity('duration', file.timeout) }),
    ...(file.output !== undefined && { outputBytes: readQuantity('bytes', file.output) }),
  };
}

/** Exactly one of version and digest, a repository without either, and a range that can be read. */
export function checkBase(base: BaseFile, path: string, report: Report): void {
  if (base.version === undefined && base.digest === undefined) {
    report(
      path,
      `${show(base.image)} has neither version nor digest: a tag alone can move`,
      'add version: ">=24 <25" or digest: sha256:…',
      'BASE_NOT_PINNED',
    );
  } else if (base.version !== undefined && base.digest !== undefined) {
    report(path, 'version and digest exclude each other', 'keep one of them');
  }
  if (base.version !== undefined && semver.validRange(base.version) === null) {
    report(
      `${path}.version`,
      `found ${show(base.version)}, expected a semver range`,
      'write it as ">=24.2 <25"',
    );
  }
  try {
    const reference = parseReference(base.image);
    if (reference.tag !== undefined || reference.digest !== undefined) {
      report(
        `${path}.image`,
        `found ${show(base.image)}, expected a repository without tag or digest`,
        'put the version under version:',
        'BASE_NOT_PINNED',
      );
    }
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    report(`${path}.image`, error.message, error.next, error.code);
  }
}
