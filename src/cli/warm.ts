import { homedir } from 'node:os';
import {
  homeFolder,
  isSealedTarget,
  type CallResult,
  type CodeTarget,
  type RunOptions,
  type RunRecord,
  type Sjs,
} from '../index.js';
import { askPool, findPool, listPools, type FoundPool } from './pool-client.js';
import { readScene } from './pool-scene.js';
import { nameOfTag } from './run-list.js';
import { hasCode } from './run-target.js';
import type { CliContext, OptionSpec, VerbInput } from './verb.js';

/** What carries out a run or call: the library, or a pool. */
export interface Runner {
  readonly run: (...asked: Parameters<Sjs['run']>) => PromiseLike<RunRecord>;
  readonly call: (...asked: Parameters<Sjs['call']>) => PromiseLike<CallResult>;
}

export const WARM_OPTION: Readonly<Record<string, OptionSpec>> = {
  warm: { describe: 'have a pool of that seal carry it out, when sjs pool start has made one' },
};

/** SJS_HOME of this process, by which its pools are found. */
export const homeOf = ({ env }: Pick<CliContext, 'env'>): string => homeFolder(env, homedir);

/**
 * What is to carry out a run or call. With `--warm` it is the pool of the seal that the target means, where one stands;
 * else, with a line that says so, a sandbox is made for it as ever.
 */
export async function chooseRunner(input: VerbInput, context: CliContext): Promise<Runner> {
  // A receipt is made here, whoever has run it.
  if (!input.has('warm') || input.values('receipt').length > 0) context.loadAll?.();
  if (!input.has('warm')) return context.sjs;
  const find = (target: string): Promise<FoundPool> =>
    findPool(homeOf(context), target, readScene(context.env, input.value('policy')));
  const [target] = hasCode(input) ? [] : input.positionals;
  const isSealed = target !== undefined && isSealedTarget(target);
  // Before anything is read that could not be read again.
  const own = OWN.find((option) => input.values(option).length > 0);
  const found = !isSealed
    ? null
    : own === undefined
      ? await find(target)
      : { connection: null, why: `--${own} is for one run alone` };
  if (!found?.connection) context.loadAll?.();
  return warmRunner(found, find, context);
}

/** What each run has for itself, and no container has that was started ahead. */
const OWN = ['in', 'port', 'egress', 'cmd', 'out', 'language'];

function warmRunner(
  early: FoundPool | null,
  find: (target: string) => Promise<FoundPool>,
  context: CliContext,
): Runner {
  const { sjs, output } = context;
  const choose = async (target: string | CodeTarget, given: RunOptions) => {
    if (early?.connection) return { found: early, target, given };
    if (typeof target === 'string' && isSealedTarget(target)) return { found: early, target, given };
    const { entry, request } = await sjs.findTarget(target, given);
    const { command, inputs, ports, egress, language, ...rest } = given;
    void [command, inputs, ports, egress, language];
    const found = await find(entry.tag);
    return (
      (found.connection ? null : await findPlain(target, given, entry.tag)) ?? {
        found,
        target: entry.tag,
        given: { ...rest, ...request },
      }
    );
  };
  const poolOf = async (name: string): Promise<string | null> => {
    const pools = await listPools(homeOf(context));
    return pools.find(({ report }) => report && nameOfTag(report.tag) === name)?.report?.tag ?? null;
  };
  /** Limits and variables of one run make another seal of a path: a pool of the path without them takes the run, too. */
  const findPlain = async (target: string | CodeTarget, given: RunOptions, tag: string) => {
    const { env = {}, limits = {}, command, inputs, ports, egress, language, ...rest } = given;
    const isSealing = [command, inputs, ports, egress, language].some(
      (one) => one !== undefined && one.length > 0,
    );
    const isPlain = typeof target !== 'string' || Object.keys({ ...env, ...limits }).length === 0;
    if (isSealing || isPlain || (await poolOf(nameOfTag(tag))) === null) return null;
    const { entry } = await sjs.findTarget(target, rest);
    const { resources } = (await sjs.inspectImage(entry.tag)).labels.plan;
    const isTighter = Object.entries(limits).every(
      ([name, most]) => most <= resources[name as keyof typeof resources],
    );
    const found: FoundPool = isTighter ? await find(entry.tag) : { connection: null, why: null };
    return found.connection ? { found, target: entry.tag, given } : null;
  };
  const sayCold = async (target: string | CodeTarget, why: string | null): Promise<void> => {
    const tag = typeof target === 'string' ? target : 'it';
    const say = (reason: string): void => output.note(`sjs: started cold: ${reason}`);
    if (why !== null) return say(`the pool of ${tag} cannot be asked: ${why}`);
    const name = tag.includes('/') ? nameOfTag(tag) : tag;
    const other = await poolOf(name);
    say(
      other === null
        ? `there is no pool of ${tag}; sjs pool start ${tag} makes one`
        : `the pool of ${name} is of ${other}, and another seal is meant; sjs pool start ${tag} makes one of that`,
    );
  };
  return {
    async run(asked, options = {}) {
      const { found, target, given } = await choose(asked, options);
      if (found?.connection)
        return (await askPool(found.connection, askedOf(given), null, given)) as RunRecord;
      await sayCold(target, found?.why ?? null);
      return sjs.run(target, given);
    },
    async call(asked, name, args = [], options = {}) {
      const { found, target, given } = await choose(asked, options);
      if (found?.connection) {
        const bytes = args instanceof Uint8Array ? args : Buffer.from(JSON.stringify(args));
        return (await askPool(
          found.connection,
          { ...askedOf(given), export: name },
          bytes,
          given,
        )) as CallResult;
      }
      await sayCold(target, found?.why ?? null);
      // A function has its own.
      const { args: _words, ...ofCall } = given;
      return sjs.call(target, name, args, ofCall);
    },
  };
}

const askedOf = ({ args = null, env = {}, secrets = {}, limits = {}, stdin }: RunOptions) => ({
  args,
  env,
  secrets,
  limits,
  hasStdin: stdin != null,
});
