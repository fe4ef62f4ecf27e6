'use strict';
// Loaded by `node --require` behind sjs's other preloads and ahead of the program, in workers and forks too: from there
// on Node loads what is listed and nothing else. Root-owned in the image; Node's builtins only. A layer for what is asked
// of Node's loader; the container is the boundary. What it covers stands in docs/reference/modules.md.
import fs from 'node:fs';
import Module, { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { begins, ModuleRule, refusal, type ModuleLists } from './modules-rule.js';

const OWN = '/.sjs/';
const PACKAGES = '/app/node_modules';

const { apply, construct, ownKeys } = Reflect;
const { create, defineProperty, freeze, getPrototypeOf } = Object;
const realPath = fs.realpathSync.native;
const isOwn = (path: string): boolean => begins(path, OWN);

type AnyFunction = (this: unknown, ...args: never[]) => unknown;

interface Hooks {
  resolve(specifier: string, context: unknown, next: NextResolve): { readonly url: string };
  load(url: string, context: unknown, next: (url: string, context: unknown) => object): object;
}
type NextResolve = (specifier: string, context: unknown) => { readonly url: string };
/** What newer Nodes have, and types do not know yet. */
interface Loader {
  registerHooks?: (hooks: Hooks) => unknown;
  _extensions: Record<string, AnyFunction>;
  _load: AnyFunction;
}

interface Manifest {
  readonly dependencies?: object;
  readonly optionalDependencies?: object;
  readonly peerDependencies?: object;
}

/** The folders of all that the packages need, whatever needs it in turn, where Node would look for it. */
function foldersOf(packages: readonly string[]): readonly string[] {
  const found = new Set<string>();
  const add = (name: string, from: string): void => {
    for (let at = from; ; at = dirname(at)) {
      const folder = join(at, 'node_modules', name);
      const manifest = at.endsWith('/node_modules') ? undefined : readManifest(folder);
      if (manifest !== undefined) {
        const real = fs.realpathSync(folder);
        if (found.has(real)) return;
        found.add(real);
        const { dependencies, optionalDependencies, peerDependencies } = manifest;
        const needed = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
        for (const one of needed) add(one, real);
        return;
      }
      if (at === '/' || at === '/app') return;
    }
  };
  for (const name of packages) add(name, dirname(PACKAGES));
  return [...found];
}

function readManifest(folder: string): Manifest | undefined {
  try {
    return JSON.parse(fs.readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

/** Puts a value for good in the place of another. */
function fix(target: object, name: string, value: unknown): void {
  if (name in target)
    defineProperty(target, name, { value, writable: false, configurable: false, enumerable: true });
}

const closed = (what: string) =>
  function (): never {
    throw refusal(`${what} is closed by spec.modules of this sandbox`);
  };

function closeLists(lists: ModuleLists): void {
  const rule = new ModuleRule(lists, foldersOf(lists.packages));
  const loader = Module as unknown as Loader;
  // A program of sjs's own loads what it needs; with the first file of anybody else's that is over.
  // Whoever starts a worker says what stands there.
  let isOwnTurn = isMainThread && isOwn(process.argv[1] ?? '');
  const admit = (url: string): void => {
    if (isOwnTurn) {
      if (begins(url, 'node:') || begins(url, `file://${OWN}`)) return;
      isOwnTurn = false;
    }
    const reason = rule.judge(url);
    if (reason !== null) throw refusal(reason);
  };
  const admitFile = (path: unknown): string => {
    if (typeof path !== 'string') throw refusal('only a file of the source can be loaded');
    const real = realPath(path);
    if (!isOwnTurn || !isOwn(real)) {
      isOwnTurn = false;
      const reason = rule.judgeFile(real);
      if (reason !== null) throw refusal(reason);
    }
    return real;
  };

  loader.registerHooks?.({
    resolve(specifier, context, next) {
      const result = next(specifier, context);
      admit(result.url);
      return result;
    },
    // What Node's loader is handed as resolved has not been.
    load(url, context, next) {
      admit(url);
      return next(url, context);
    },
  });
  // What a module object is told to load has not been resolved.
  for (const [name, load] of Object.entries(loader._extensions)) {
    loader._extensions[name] = function (this: unknown, ...args: never[]): unknown {
      admitFile(args[1]);
      return apply(load, this, args);
    };
  }
  // What Node itself says behind these three is for its own calls: that hooks are to be left out, or what was resolved.
  const load = loader._load;
  loader._load = function (request: never, parent: never, isMain: never): unknown {
    return apply(load, Module, [request, parent, isMain]);
  };
  keepBind();
  closeWays(rule, admitFile);
  if (rule.listsBuiltin('worker_threads')) guardWorkers();
  syncBuiltinESMExports();
}

/**
 * Node binds steps of its loader by the program's own Function.prototype.bind, which would be handed the loader. Functions may
 * still have a `bind` of their own.
 */
function keepBind(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { bind } = Function.prototype;
  defineProperty(Function.prototype, 'bind', {
    configurable: false,
    enumerable: false,
    get: () => bind,
    set(this: unknown, value: unknown) {
      if (this === Function.prototype)
        throw refusal('Function.prototype.bind is kept by spec.modules of this sandbox');
      defineProperty(this as object, 'bind', { value, writable: true, configurable: true, enumerable: true });
    },
  });
}

/** The ways to builtins and native code that no hook sees, and those that would put other hooks ahead of ours. */
function closeWays(rule: ModuleRule, admitFile: (path: unknown) => string): void {
  for (const name of ['register', 'registerHooks']) fix(Module, name, closed(`module.${name}`));
  for (const name of ['binding', '_linkedBinding']) fix(process, name, closed(`process.${name}`));
  // It becomes another program, as node:child_process starts one.
  if (!rule.listsBuiltin('child_process')) fix(process, 'execve', closed('process.execve'));

  const { getBuiltinModule } = process as unknown as { getBuiltinModule: (id: string) => unknown };
  fix(process, 'getBuiltinModule', function (id: unknown): unknown {
    const found: unknown = apply(getBuiltinModule, process, [id as string]);
    // Node refuses what is no text, and knows none of that name otherwise.
    if (found === undefined || typeof id !== 'string') return undefined;
    const reason = rule.judge(begins(id, 'node:') ? id : `node:${id}`);
    if (reason !== null) throw refusal(reason);
    return found;
  });

  const { dlopen } = process as unknown as { dlopen: AnyFunction };
  fix(process, 'dlopen', function (module: never, path: never, flags: never): unknown {
    const real = admitFile(path) as never;
    return apply(dlopen, process, flags === undefined ? [module, real] : [module, real, flags]);
  });
}

interface WorkerOptions {
  readonly env?: unknown;
}

/** A worker begins with sjs's preloads, whatever options it is given: Node would leave them out with others. */
function guardWorkers(): void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const threads = require('node:worker_threads') as { Worker: new (...args: unknown[]) => object };
  const RealWorker = threads.Worker;
  hideHandle(RealWorker);
  const own = freeze(process.execArgv.filter((word) => word.startsWith(`--require=${OWN}`)));
  const Guarded: object = new Proxy(RealWorker, {
    construct(target, args: readonly unknown[], newTarget) {
      const options = copy(args[1]);
      options['execArgv'] = undefined;
      const { env } = options as WorkerOptions;
      if (typeof env === 'object' && env !== null) {
        const plain = copy(env);
        delete plain['NODE_OPTIONS'];
        options['env'] = plain;
        options['execArgv'] = own;
      } else if (env === undefined) {
        options['env'] = undefined;
      }
      return construct(target, [args[0], options], newTarget) as object;
    },
  });
  defineProperty(RealWorker.prototype, 'constructor', { value: Guarded });
  fix(threads, 'Worker', Guarded);
}

/**
 * A worker has a handle, and that a class of its own, which starts workers without preloads. One is made as far as to that,
 * and no further: no thread begins.
 */
function hideHandle(RealWorker: new (...args: unknown[]) => object): void {
  const enough = new Error();
  let isHidden = false;
  const looksOn = function (): void {
    // Only its prototype matters.
  };
  looksOn.prototype = new Proxy(RealWorker.prototype as object, {
    set(_target, key, value, receiver) {
      const prototype: unknown = typeof value === 'object' && value !== null ? getPrototypeOf(value) : null;
      if (typeof prototype === 'object' && prototype !== null && 'startThread' in prototype) {
        fix(prototype, 'constructor', closed('the class of a worker’s handle'));
        isHidden = true;
        throw enough;
      }
      return defineProperty(receiver as object, key, { value, writable: true, configurable: true }) !== null;
    },
  });
  try {
    construct(RealWorker, ['', { eval: true }], looksOn);
  } catch (error) {
    // Node's permissions have no worker for anybody: then there is nothing to guard.
    if ((error as { code?: unknown }).code === 'ERR_ACCESS_DENIED') return;
    if (error !== enough) throw error;
  }
  if (isHidden) return;
  process.stderr.write(`sjs: spec.modules cannot guard the workers of this Node, ${process.version}\n`);
  process.exit(125);
}

/** Read once: who asks twice could be told something else. */
function copy(from: unknown): Record<string, unknown> {
  const plain = create(null) as Record<string, unknown>;
  if (typeof from !== 'object' || from === null) return plain;
  const keys = ownKeys(from);
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at];
    if (typeof key === 'string') plain[key] = (from as Record<string, unknown>)[key];
  }
  return plain;
}

if (typeof (Module as unknown as Loader).registerHooks !== 'function') {
  process.stderr.write(`sjs: spec.modules needs Node 22.15, 23.5 or later; this is ${process.version}\n`);
  process.exit(125);
}
closeLists(JSON.parse(fs.readFileSync(join(__dirname, 'modules.json'), 'utf8')) as ModuleLists);
