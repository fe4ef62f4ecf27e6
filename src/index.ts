/**
 * The library: everything the command line does, typed. `createSjs()` gives an instance with its own state folder and
 * policy; the functions below use one made from the environment.
 */
import { createSjs } from './sjs.js';

export { createSjs } from './sjs.js';
export { Sandbox, type SandboxJob, type SandboxOptions, type SandboxResult } from './sandbox-class.js';
export type * from './api.js';
export { SjsError, ERROR_CODES } from './errors.js';
export type { ErrorCode, ErrorKind, Problem, SjsErrorDetails, SourceLocation } from './errors.js';
export type { Digest } from './model/digest.js';
export type * from './model/base.js';
export { BILL_FORMATS, type BillFormat } from './model/bill-format.js';
export type { CallOutcome, ThrownError } from './model/call.js';
export type { CodeTarget } from './model/grants.js';
export { LANGUAGE_NAMES, LANGUAGES, type Language } from './model/language.js';
export type * from './model/lock.js';
export { nearest, nearestId } from './model/nearest.js';
export {
  formatEgress,
  formatPort,
  parseEgress,
  parsePort,
  type EgressRule,
  type Network,
  type PublishedPort,
} from './model/network.js';
export type * from './model/policy.js';
export type * from './model/record.js';
export { describeUsedWaiver, type UsedWaiver } from './model/waiver.js';
export { answerOf, RUN_STATES } from './model/record.js';
export { isSealedTarget } from './model/target-form.js';
export { homeFolder } from './model/home-folder.js';
export type * from './model/run-plan.js';
export type {
  BaseRequest,
  LoadedSandbox,
  Permissions,
  Resources,
  Sandbox as DeclaredSandbox,
} from './model/sandbox.js';
export type { ImageFacts, IndexEntry, SealedImage, SealedLabels } from './model/sealed-image.js';
export {
  formatBytes,
  formatCpu,
  formatDuration,
  parseBytes,
  parseCpu,
  parseDuration,
} from './model/quantity.js';
export { silentReporter, type Reporter } from './ports/reporter.js';
export type { RunSignals, UsageSample } from './ports/engine.js';
export { describeTextDifference } from './model/describe-text-difference.js';

/** The instance that the environment describes. */
const sjs = createSjs();

export const {
  loadSandbox,
  validate,
  plan,
  build,
  lock,
  run,
  call,
  runCode,
  createPool,
  replay,
  listRuns,
  findRun,
  readContent,
  listImages,
  inspectImage,
  verifyImage,
  importBase,
  verifyBase,
  explainPolicy,
  doctor,
  prune,
} = sjs;
