import { SjsError } from '../errors.js';
import { cleanText } from './clean-text.js';
import { LANGUAGES } from './language.js';
import { nearest } from './nearest.js';

/** What a value has to be, in words, and whether it is. */
type Check = readonly [expected: string, isGood: (value: unknown) => boolean];

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TEXTS: Check = [
  'a list of texts',
  (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
];
const MAPPING: Check = [
  'an object of texts',
  (value) => isFields(value) && Object.values(value).every((one) => typeof one === 'string'),
];
const RECEIVER: Check = ['a function', (value) => typeof value === 'function'];
const OBJECT: Check = ['an object', isFields];
const ANYTHING: Check = ['', () => true];
const BOOLEAN: Check = ['true or false', (value) => typeof value === 'boolean'];
const TEXT: Check = ['a text', (value) => typeof value === 'string'];
const SIGNAL: Check = ['an AbortSignal', (value) => value instanceof AbortSignal];
const COUNT: Check = [
  'a whole number of at least 1',
  (value) => Number.isSafeInteger(value) && (value as number) >= 1,
];
const LANGUAGE: Check = [
  `one of ${LANGUAGES.join(', ')}`,
  (value) => (LANGUAGES as readonly unknown[]).includes(value),
];
const LIMITS = ['milliCpu', 'memoryBytes', 'pids', 'files', 'timeoutMs', 'outputBytes'];
const LIMIT: Check = [
  `an object of numbers, of ${LIMITS.join(', ')}`,
  (value) =>
    isFields(value) &&
    Object.entries(value).every(
      ([key, one]) => LIMITS.includes(key) && (one === undefined || typeof one === 'number'),
    ),
];
const STREAM: Check = [
  'a readable stream, or null',
  (value) => value === null || (isFields(value) && typeof value['pipe'] === 'function'),
];

const OUTPUT = { onStdout: RECEIVER, onStderr: RECEIVER, onStarted: RECEIVER };
const RUN = {
  ...OUTPUT,
  args: [TEXTS[0], (value) => value === null || TEXTS[1](value)],
  env: MAPPING,
  secrets: MAPPING,
  limits: LIMIT,
  call: OBJECT,
  stdin: STREAM,
  onArtifact: RECEIVER,
  onPorts: RECEIVER,
  onAnswer: RECEIVER,
  command: TEXTS,
  inputs: TEXTS,
  ports: TEXTS,
  egress: TEXTS,
  language: LANGUAGE,
  signal: SIGNAL,
  signals: OBJECT,
} satisfies Readonly<Record<string, Check>>;
const BOUNDS = {
  size: COUNT,
  max: COUNT,
  idleTimeoutMs: COUNT,
  maxAgeMs: COUNT,
  queueTimeoutMs: COUNT,
  preload: BOOLEAN,
  memoryBytes: COUNT,
  milliCpu: COUNT,
};

const without = (names: readonly string[]): Readonly<Record<string, Check>> =>
  Object.fromEntries(Object.entries(RUN).filter(([name]) => !names.includes(name)));
const CALL = without(['args', 'stdin', 'call', 'onAnswer']);
const OF_POOL = { ...OUTPUT, env: MAPPING, secrets: MAPPING, limits: LIMIT, signal: SIGNAL, signals: OBJECT };

const SHAPES = {
  run: RUN,
  call: CALL,
  'pool.run': { ...OF_POOL, args: RUN.args, stdin: STREAM },
  'pool.call': OF_POOL,
  runCode: { ...OUTPUT, limits: LIMIT, language: LANGUAGE, data: ANYTHING, signal: SIGNAL, signals: OBJECT },
  createPool: {
    ...without(['args', 'stdin', 'call', 'onAnswer', 'onArtifact', 'onPorts', ...Object.keys(OUTPUT)]),
    ...BOUNDS,
    target: ANYTHING,
  },
  Sandbox: {
    poolSize: COUNT,
    timeoutMs: COUNT,
    memoryLimitMb: COUNT,
    language: LANGUAGE,
    sjs: OBJECT,
  },
  'Sandbox.run': { code: TEXT, timeoutMs: COUNT, data: ANYTHING, language: LANGUAGE },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Check>>>>;

/**
 * Refuses options of the wrong type, and those that nobody reads: an application need not be written in TypeScript, and a
 * limit that is misspelt would be none.
 * @throws SjsError `ARGUMENTS_INVALID`
 */
export function checkOptions(what: keyof typeof SHAPES, given: unknown): void {
  const shape: Readonly<Record<string, Check>> = SHAPES[what];
  if (!isFields(given)) throw refuse(`the options of ${what} are no object`);
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (check === undefined) {
      const near = nearest(name, Object.keys(shape));
      const inLimits = 'limits' in shape && LIMITS.includes(name) ? `limits.${name}` : near;
      throw refuse(
        `${what} has no option ${cleanText(name)}`,
        inLimits === undefined ? undefined : `did you mean ${inLimits}?`,
      );
    }
    if (value !== undefined && !check[1](value)) {
      throw refuse(`${name} of ${what} is ${describeValue(value)}, and has to be ${check[0]}`);
    }
  }
}

function describeValue(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return cleanText((typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 100));
}

const refuse = (message: string, next?: string): SjsError =>
  new SjsError('ARGUMENTS_INVALID', message, { ...(next !== undefined && { next }) });
