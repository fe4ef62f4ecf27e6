import semver from 'semver';
import { BUILTIN_MODULES, withoutScheme } from '../../model/builtin-modules.js';
import { checkBase } from '../../model/base-file.js';
import {
  inferLanguage,
  LANGUAGE_NAMES,
  startsRuntime,
  STATEABLE,
  type Language,
} from '../../model/language.js';
import { LOWEST_CONTAINER_PORT, parseEgress, parsePort, type PublishedPort } from '../../model/network.js';
import { isPackageName } from '../../model/package-list.js';
import { nearest } from '../../model/nearest.js';
import { GATEWAY_NAME, hasUnprintable, isReservedEnv, LOWEST_UID } from '../../model/sandbox.js';
import { show, type Report, type SchemaFindings, type SchemaProblem } from '../../model/schema-check.js';
import type { YamlDocument } from '../../model/yaml-document.js';
import type { SandboxFile } from './to-sandbox.js';

const LARGEST_ENV = 32 * 1024;

type Sound = { readonly [Key in keyof SandboxFile]?: Partial<SandboxFile[Key]> };

/**
 * What a schema cannot say: names, paths, versions and how keys go together. All problems at once, of whatever the
 * schema did not refuse.
 */
export function checkValues(document: YamlDocument, findings: SchemaFindings): readonly SchemaProblem[] {
  const problems: SchemaProblem[] = [];
  const report: Report = (path, message, next, code = 'SANDBOX_INVALID') => {
    const location = { file: document.file, ...document.locate(path), path };
    const problem = {
      message: `${path}: ${message}`,
      location,
      snippet: document.excerpt(path),
      ...(next !== undefined && { next }),
    };
    problems.push({ code, problem });
  };
  const { metadata: { name, version } = {}, spec = {} } = (findings.sound ?? {}) as Sound;
  if (name === GATEWAY_NAME)
    report('metadata.name', `${name} is the name of sjs’s own gateway`, 'choose another name');
  if (
    version !== undefined &&
    (semver.valid(version) !== version || semver.parse(version)?.build.length !== 0)
  ) {
    report(
      'metadata.version',
      `found ${show(version)}, expected a version such as 1.2.3, without build metadata`,
    );
  }
  if (spec.base && !findings.hasFault('spec', 'base')) checkBase(spec.base, 'spec.base', report);
  if (spec.source !== undefined) checkPath(spec.source, 'spec.source', report);
  for (const [at, input] of (spec.inputs ?? []).entries()) checkPath(input, `spec.inputs.${at}`, report);
  if (spec.dependencies?.lockfile !== undefined)
    checkPath(spec.dependencies.lockfile, 'spec.dependencies.lockfile', report);
  // Where a key of spec is wrong already, it may be the one that seems to be missing.
  const written = Object.keys((document.value as Partial<SandboxFile> | null)?.spec ?? {}).length;
  if (
    spec.entrypoint === undefined &&
    spec.command === undefined &&
    written > 0 &&
    written === Object.keys(spec).length
  )
    report('spec', 'entrypoint or command is missing', 'add entrypoint: index.js');
  const language = spec.language ?? inferLanguage(spec);
  if (language === null && !findings.hasFault('spec', 'language') && (spec.entrypoint ?? spec.command))
    report('spec.language', 'nothing says what the program is written in', 'add language: node');
  checkCommand(spec, language ?? 'node', report);
  checkLanguage(spec, language ?? 'node', report);
  checkBrowser(spec, language ?? 'node', report);
  checkEnv(spec.env ?? {}, spec.secrets ?? [], report);
  checkNetwork(spec, report);
  checkDeterminism(spec, language ?? 'node', report);
  checkModules(spec, language ?? 'node', report);
  if (spec.user?.split(':').some((id) => Number(id) < LOWEST_UID || Number(id) > 2 ** 31 - 1)) {
    report(
      'spec.user',
      `found ${show(spec.user)}, expected uid:gid, both between ${LOWEST_UID} and ${2 ** 31 - 1}`,
    );
  }
  const texts = [
    ...(spec.exclude ?? []).map((value, at) => [`spec.exclude.${at}`, value]),
    ...(spec.args ?? []).map((value, at) => [`spec.args.${at}`, value]),
    ...(spec.command ?? []).map((value, at) => [`spec.command.${at}`, value]),
  ];
  for (const [path, value] of texts as [string, string][]) checkVisible(value, path, report);
  return problems;
}

/** JavaScript turns the 31st of February into a day of March. */
function checkDeterminism(
  { determinism, command = [] }: Partial<SandboxFile['spec']>,
  language: Language,
  report: Report,
): void {
  if (!determinism) return;
  const { clock, seed } = determinism;
  const time = Date.parse(clock ?? '');
  const isTime = !Number.isNaN(time) && new Date(time).toISOString().startsWith(String(clock).slice(0, 19));
  if (clock !== undefined && !isTime)
    report('spec.determinism.clock', `found ${show(clock)}, which is no time`);
  if (clock === undefined && seed === undefined)
    report('spec.determinism', 'clock or seed is missing', 'add one of them, or remove determinism');
  if (language !== 'node' || (command.length > 0 && !startsRuntime('node', command)))
    report(
      'spec.determinism',
      'needs a program that Node starts',
      'use entrypoint with language: node, or remove it',
    );
}

/** A name that Node does not have would be a list of less than was meant. */
function checkModules(
  { modules, command }: Partial<SandboxFile['spec']>,
  language: Language,
  report: Report,
): void {
  if (!modules) return;
  for (const [at, name] of (modules.builtins ?? []).entries()) {
    if (BUILTIN_MODULES.includes(withoutScheme(name))) continue;
    const meant = nearest(withoutScheme(name), BUILTIN_MODULES);
    report(
      `spec.modules.builtins.${at}`,
      `found ${show(name)}, which is no module of Node`,
      meant === undefined ? 'npm packages stand under packages:' : `write ${meant}`,
    );
  }
  for (const [at, name] of (modules.packages ?? []).entries()) {
    if (!isPackageName(name))
      report(
        `spec.modules.packages.${at}`,
        `found ${show(name)}, which is no name of an npm package`,
        'write the name alone, as lodash or @scope/name: without version or path',
      );
  }
  if (language !== 'node' || (command && !startsRuntime('node', command)))
    report(
      'spec.modules',
      'needs a program that Node starts',
      'use entrypoint with language: node, or remove it',
    );
}

/** The base with a browser has Node, and is the operator's. */
function checkBrowser(
  { browser, base }: Partial<SandboxFile['spec']>,
  language: Language,
  report: Report,
): void {
  if (browser === undefined) return;
  if (base) report('spec.browser', 'base and browser exclude each other', 'keep one of them');
  if (language !== 'node')
    report(
      'spec.browser',
      `its base has Node, not ${LANGUAGE_NAMES[language]}`,
      'use language: node, or remove it',
    );
}

/** What is Node's alone so far is refused for other languages, never left out. */
function checkLanguage(spec: Partial<SandboxFile['spec']>, language: Language, report: Report): void {
  if (language === 'node') return;
  const name = LANGUAGE_NAMES[language];
  if (spec.dependencies && language !== 'python')
    report(
      'spec.dependencies',
      `packages of ${name} are not here yet`,
      `put what the program imports into its source, and remove dependencies`,
      'NOT_YET',
    );
  if ((spec.dependencies?.omit ?? []).length > 0 && language === 'python')
    report(
      'spec.dependencies.omit',
      'a requirements.txt has no kinds of packages',
      'remove it, and write what the program needs into requirements.txt',
    );
  if (spec.secrets && spec.secrets.length > 0)
    report('spec.secrets', `secrets of ${name} programs are not here yet`, 'remove secrets', 'NOT_YET');
  for (const key of Object.keys(spec.permissions ?? {})) {
    if (key.startsWith('x-') || (STATEABLE[language] as readonly string[]).includes(key)) continue;
    report(
      `spec.permissions.${key}`,
      `${name} can neither grant nor withhold it`,
      'remove it: the policy judges what the runtime allows unasked',
    );
  }
}

function checkCommand(spec: Partial<SandboxFile['spec']>, language: Language, report: Report): void {
  if (spec.entrypoint !== undefined && spec.command !== undefined)
    report('spec.command', 'entrypoint and command exclude each other', 'keep one of them');
  if (spec.entrypoint !== undefined) {
    checkPath(spec.entrypoint, 'spec.entrypoint', report);
    if (/(?:^|\/)\.?$/.test(spec.entrypoint))
      report(
        'spec.entrypoint',
        `found ${show(spec.entrypoint)}, which is a folder`,
        'name a file, as index.js',
      );
  }
  const [program, script] = spec.command ?? [];
  const isOption = script?.startsWith('-') !== false || (language !== 'node' && script === 'run');
  if (spec.command && startsRuntime(language, spec.command) && isOption)
    report(
      'spec.command.1',
      `${LANGUAGE_NAMES[language]}’s own options are given by sjs`,
      `name the script right behind ${program}${STATEABLE[language].length > 0 ? '; state rights under permissions:' : ''}`,
    );
  if (spec.command?.[0] === '') report('spec.command.0', 'the program has no name');
}

/** Relative, and nowhere above its folder (ATTACKS C12). */
function checkPath(value: string, path: string, report: Report): void {
  if (value.startsWith('/') || value.split('/').includes('..') || value.includes('\\')) {
    report(
      path,
      `found ${show(value)}, expected a relative path that stays in its folder`,
      'write it relative, with / and without ..',
    );
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || value.startsWith('git@'))
    report(path, `found ${show(value)}: only files on this machine can be a source`);
  checkVisible(value, path, report);
}

function checkEnv(env: Readonly<Record<string, string>>, secrets: readonly string[], report: Report): void {
  let bytes = 0;
  for (const [name, value] of Object.entries(env)) {
    bytes += name.length + Buffer.byteLength(value) + 2;
    if (isReservedEnv(name))
      report(
        `spec.env.${name}`,
        'this name steers the loader, the runtime or sjs and cannot be set',
        'choose another name',
      );
    checkVisible(value, `spec.env.${name}`, report);
  }
  if (bytes > LARGEST_ENV)
    report(
      'spec.env',
      `the environment has ${bytes} bytes; ${LARGEST_ENV} are allowed`,
      'pass data as a file of the source or on stdin',
    );
  for (const [at, name] of secrets.entries()) {
    if (isReservedEnv(name))
      report(
        `spec.secrets.${at}`,
        `the name ${show(name)} steers the loader, the runtime or sjs`,
        'choose another name',
      );
    if (Object.hasOwn(env, name))
      report(`spec.secrets.${at}`, `${show(name)} is also set in env`, 'keep it in one place');
  }
}

function checkNetwork({ network, resources }: Partial<SandboxFile['spec']>, report: Report): void {
  const { mode = 'none', ports = [], egress = [] } = network ?? {};
  for (const [key, declared] of Object.entries({ ports, egress })) {
    if (declared.length > 0 && mode !== 'isolated')
      report(`spec.network.${key}`, `needs mode: isolated, and the mode is ${mode}`, 'write mode: isolated');
  }
  const published = ports.map((text) => parsePort(text));
  for (const [at, port] of published.entries()) {
    if (port === undefined)
      report(
        `spec.network.ports.${at}`,
        `found ${show(ports[at])}, expected host:container or address:host:container, with an IPv4 address and a container port from ${LOWEST_CONTAINER_PORT} up`,
        'write "3000:3005"; inside, the program listens on 3005',
      );
    else if (port.hostPort !== 0 && published.findIndex((other) => isSamePlace(port, other)) !== at)
      report(
        `spec.network.ports.${at}`,
        `${show(ports[at])} is published already`,
        'choose another host port',
      );
  }
  if (ports.length > 0 && resources?.timeout === undefined)
    report(
      'spec.network.ports',
      'a server must state how long it may run',
      'add resources: { timeout: 10m }, or another limit',
    );
  const rules = egress.map((text) => parseEgress(text));
  for (const [at, rule] of rules.entries()) {
    if (rule === undefined)
      report(
        `spec.network.egress.${at}`,
        `found ${show(egress[at])}, expected name:port or name:port=address: a host name in lower case without a trailing dot, and IPv4`,
        'write "api.example.com:443"; give an address a name: "db.internal:5432=10.0.0.7"',
      );
    else if (rules.findIndex((other) => other?.name === rule.name && other.port === rule.port) !== at)
      report(`spec.network.egress.${at}`, `${rule.name}:${rule.port} is declared twice`, 'keep one of them');
  }
}

/** Whether two ports would be published at the same place; 0.0.0.0 is every address. */
function isSamePlace(one: PublishedPort, other: PublishedPort | undefined): boolean {
  if (one.hostPort !== other?.hostPort) return false;
  const addresses = [one.hostAddress, other.hostAddress];
  return addresses.includes('0.0.0.0') || addresses[0] === addresses[1];
}

function checkVisible(value: string, path: string, report: Report): void {
  if (hasUnprintable(value))
    report(
      path,
      `found ${show(value)}: control characters and line breaks are not allowed`,
      'put the text into a file of the source',
    );
}
