import type { Verb } from './verb.js';

/** A verb before its module is loaded. */
export interface VerbEntry {
  readonly summary: string;
  /** Heading it stands under in `sjs --help`. */
  readonly group: 'Make' | 'Run' | 'Sealed images' | 'Trust' | 'Machine';
  readonly load: () => Promise<Verb>;
}

/** Every verb, in the order of the help. Each module is loaded only when its verb is used. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  init: {
    group: 'Make',
    summary: 'write a commented sandbox.yaml and a small program',
    load: async () => (await import('./verbs/init.js')).initVerb,
  },
  validate: {
    group: 'Make',
    summary: 'check sandbox.yaml against schema and policy; needs no engine',
    load: async () => (await import('./verbs/validate.js')).validateVerb,
  },
  schema: {
    group: 'Make',
    summary: 'print the JSON Schema of sandbox.yaml or of a policy',
    load: async () => (await import('./verbs/schema.js')).schemaVerb,
  },
  plan: {
    group: 'Make',
    summary: 'show what build and run would do, and do nothing',
    load: async () => (await import('./verbs/plan.js')).planVerb,
  },
  build: {
    group: 'Make',
    summary: 'verify the base, build and seal; prints the tag',
    load: async () => (await import('./verbs/build.js')).buildVerb,
  },
  lock: {
    group: 'Make',
    summary: 'verify the base and write sandbox.lock; builds nothing',
    load: async () => (await import('./verbs/lock.js')).lockVerb,
  },
  run: {
    group: 'Run',
    summary: 'run a sealed image and exit as its program does',
    load: async () => (await import('./verbs/run.js')).runVerb,
  },
  call: {
    group: 'Run',
    summary: 'call an exported function with JSON, and print its result',
    load: async () => (await import('./verbs/call.js')).callVerb,
  },
  'pool start': {
    group: 'Run',
    summary: 'keep containers of a sealed image ready for run and call --warm',
    load: async () => (await import('./verbs/pool-start.js')).poolStartVerb,
  },
  'pool status': {
    group: 'Run',
    summary: 'list the pools and how they stand',
    load: async () => (await import('./verbs/pool-status.js')).poolStatusVerb,
  },
  'pool stop': {
    group: 'Run',
    summary: 'end pools, when the calls under way are over',
    load: async () => (await import('./verbs/pool-stop.js')).poolStopVerb,
  },
  replay: {
    group: 'Run',
    summary: 'run it again from the seal and say whether it is the same',
    load: async () => (await import('./verbs/replay.js')).replayVerb,
  },
  ps: {
    group: 'Run',
    summary: 'list what runs now',
    load: async () => (await import('./verbs/ps.js')).psVerb,
  },
  runs: {
    group: 'Run',
    summary: 'list the runs, newest first',
    load: async () => (await import('./verbs/runs.js')).runsVerb,
  },
  logs: {
    group: 'Run',
    summary: 'print what a run wrote to stdout and stderr',
    load: async () => (await import('./verbs/logs.js')).logsVerb,
  },
  stats: {
    group: 'Run',
    summary: 'show what runs use just now',
    load: async () => (await import('./verbs/stats.js')).statsVerb,
  },
  stop: {
    group: 'Run',
    summary: 'end runs: SIGTERM, and SIGKILL after a grace',
    load: async () => (await import('./verbs/stop.js')).stopVerb,
  },
  kill: {
    group: 'Run',
    summary: 'kill runs at once, or send them another signal',
    load: async () => (await import('./verbs/kill.js')).killVerb,
  },
  wait: {
    group: 'Run',
    summary: 'wait for the end of runs and print their exit status',
    load: async () => (await import('./verbs/wait.js')).waitVerb,
  },
  inspect: {
    group: 'Run',
    summary: 'print everything known of a run or a sealed image, as JSON',
    load: async () => (await import('./verbs/inspect.js')).inspectVerb,
  },
  rm: {
    group: 'Run',
    summary: 'remove runs or sealed images',
    load: async () => (await import('./verbs/rm.js')).rmVerb,
  },
  prune: {
    group: 'Run',
    summary: 'remove what the policy keeps no longer',
    load: async () => (await import('./verbs/prune.js')).pruneVerb,
  },
  images: {
    group: 'Sealed images',
    summary: 'list the sealed images made here',
    load: async () => (await import('./verbs/images.js')).imagesVerb,
  },
  env: {
    group: 'Sealed images',
    summary: 'print the environment sealed into an image',
    load: async () => (await import('./verbs/env.js')).envVerb,
  },
  diff: {
    group: 'Sealed images',
    summary: 'compare two sealed images: rights, base, program, files',
    load: async () => (await import('./verbs/diff.js')).diffVerb,
  },
  clone: {
    group: 'Sealed images',
    summary: 'write sandbox.yaml and source of a sealed image to a folder',
    load: async () => (await import('./verbs/clone.js')).cloneVerb,
  },
  edit: {
    group: 'Sealed images',
    summary: 'change a sealed image in your editor and build it anew',
    load: async () => (await import('./verbs/edit.js')).editVerb,
  },
  rebase: {
    group: 'Sealed images',
    summary: 'put what is sealed over a patched base',
    load: async () => (await import('./verbs/rebase.js')).rebaseVerb,
  },
  export: {
    group: 'Sealed images',
    summary: 'write a sealed image and its runs to a file',
    load: async () => (await import('./verbs/export.js')).exportVerb,
  },
  import: {
    group: 'Sealed images',
    summary: 'take in what sjs export wrote, to replay it here',
    load: async () => (await import('./verbs/import.js')).importVerb,
  },
  push: {
    group: 'Sealed images',
    summary: 'push a sealed image to a registry, and sign it there',
    load: async () => (await import('./verbs/push.js')).pushVerb,
  },
  published: {
    group: 'Sealed images',
    summary: 'say what the registry has of a sealed image',
    load: async () => (await import('./verbs/published.js')).publishedVerb,
  },
  pull: {
    group: 'Sealed images',
    summary: 'take in a sealed image that somebody signed whom the policy trusts',
    load: async () => (await import('./verbs/pull.js')).pullVerb,
  },
  sbom: {
    group: 'Sealed images',
    summary: 'print the bill of materials of a sealed image',
    load: async () => (await import('./verbs/sbom.js')).sbomVerb,
  },
  provenance: {
    group: 'Sealed images',
    summary: 'print how a sealed image was built, as SLSA provenance',
    load: async () => (await import('./verbs/provenance.js')).provenanceVerb,
  },
  verify: {
    group: 'Sealed images',
    summary: 'check a sealed image from its base to its seal',
    load: async () => (await import('./verbs/verify.js')).verifyVerb,
  },
  receipt: {
    group: 'Trust',
    summary: 'sign what one run did, or print what was signed',
    load: async () => (await import('./verbs/receipt.js')).receiptVerb,
  },
  'receipt verify': {
    group: 'Trust',
    summary: 'check a receipt: who signed it, and what it says',
    load: async () => (await import('./verbs/receipt-verify.js')).receiptVerifyVerb,
  },
  'base import': {
    group: 'Trust',
    summary: 'copy a base image into your registry, sign it, trust it',
    load: async () => (await import('./verbs/base-import.js')).baseImportVerb,
  },
  'base ls': {
    group: 'Trust',
    summary: 'list the bases that the policy trusts',
    load: async () => (await import('./verbs/base-ls.js')).baseLsVerb,
  },
  'base verify': {
    group: 'Trust',
    summary: 'check the signature of a base as a build would',
    load: async () => (await import('./verbs/base-verify.js')).baseVerifyVerb,
  },
  'policy check': {
    group: 'Trust',
    summary: 'check sandboxes and sealed images against the policy in force',
    load: async () => (await import('./verbs/policy-check.js')).policyCheckVerb,
  },
  'policy show': {
    group: 'Trust',
    summary: 'show the policy in force',
    load: async () => (await import('./verbs/policy-show.js')).policyShowVerb,
  },
  'policy explain': {
    group: 'Trust',
    summary: 'show which file and line each part of the policy comes from',
    load: async () => (await import('./verbs/policy-explain.js')).policyExplainVerb,
  },
  'policy trust': {
    group: 'Trust',
    summary: 'trust the signed Node images of a publisher',
    load: async () => (await import('./verbs/policy-trust.js')).policyTrustVerb,
  },
  doctor: {
    group: 'Machine',
    summary: 'say what this machine has and lacks, and how to mend it',
    load: async () => (await import('./verbs/doctor.js')).doctorVerb,
  },
  completion: {
    group: 'Machine',
    summary: 'print the script that completes verbs, options, tags and runs',
    load: async () => (await import('./verbs/completion.js')).completionVerb,
  },
  version: {
    group: 'Machine',
    summary: 'print the version of sjs',
    load: async () => (await import('./verbs/version.js')).versionVerb,
  },
};
