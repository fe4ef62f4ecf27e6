import { callVerb } from './verbs/call.js';
import { runVerb } from './verbs/run.js';
import type { VerbEntry } from './verb-table.js';

/** The verbs that a pool can carry out: in the bundle that is loaded for those, instead of all of them. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  run: { group: 'Run', summary: '', load: () => Promise.resolve(runVerb) },
  call: { group: 'Run', summary: '', load: () => Promise.resolve(callVerb) },
};
