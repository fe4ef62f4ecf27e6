#!/usr/bin/env node
// What CI does over a repository of sandboxes: docs/gitops.md. Nothing of the repository is executed here.
import { parseArgs } from 'node:util';
import { runCi } from './lib/run-ci.mjs';
import { logLine } from './lib/text.mjs';

const HELP = `Usage: sjs-ci [path] [options]

Validates every sandbox.yaml that is committed below the path, checks it against the policy, builds it --frozen, compares
its seal with what the registry has, and shows which rights a change widens.

  --against REF   the branch or commit to compare with; in CI the target of the pull request
  --policy FILE   the policy: a path in the repository, read as it stands on the target branch, or one outside of it
  --publish       push and sign what was built; in CI on the main branch alone
  --branch NAME   the main branch; in CI by default the repository's own
  --key KEY       sign with it: a file or a reference to a key service; without it keyless, as the job
  --report NAME   write GitLab's Code Quality report to that file at the top of the repository

Exit status: 0; 2 usage; 10 a sandbox.yaml is invalid; 11 refused by policy; 12 a build failed or its lock is not current;
13 what is published is not what was built; 14 the rights could not be compared; 15 the comment could not be posted;
16 pushing or signing failed. Of several the first.`;

/** Each option can be said by a variable: text that somebody else wrote never becomes part of a shell's command. */
function readOptions(env) {
  const options = {
    against: { type: 'string' },
    policy: { type: 'string' },
    publish: { type: 'boolean' },
    branch: { type: 'string' },
    key: { type: 'string' },
    report: { type: 'string' },
    sjs: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (positionals.length > 1) throw new TypeError('one path at most');
  for (const [name, { type }] of Object.entries(options)) {
    const said = env[`SJS_CI_${name.toUpperCase()}`];
    if (values[name] !== undefined || !said) continue;
    values[name] = type === 'boolean' ? said === 'true' : said;
  }
  return { ...values, path: positionals[0] ?? (env.SJS_CI_PATH || '.') };
}

try {
  const options = readOptions(process.env);
  if (options.help) console.log(HELP);
  else process.exitCode = await runCi(options, process.env);
} catch (error) {
  const isUsage =
    error.name === 'UsageError' || error.code?.startsWith?.('ERR_PARSE_ARGS') || error instanceof TypeError;
  console.error(logLine(`error: ${error.message}`));
  process.exitCode = isUsage ? 2 : 1;
}
