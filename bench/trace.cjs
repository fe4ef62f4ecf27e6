// Loaded ahead of sjs with `--require`: notes when it reaches each step of a run, and prints that as JSON to the
// descriptor that SJS_BENCH_TRACE names. Costs some milliseconds itself.
const fs = require('node:fs');
const http = require('node:http');

const marks = { started: performance.now() };
const mark = (name) => (marks[name] ??= performance.now());
const send = http.request;
http.request = function (...args) {
  const { method = 'GET', path = '' } = args.find((arg) => arg?.path !== undefined) ?? {};
  const step = `${method} ${path}`;
  const name = /^GET .*\/(info|version)/.test(step)
    ? 'ask'
    : /^POST .*\/create/.test(step)
      ? 'create'
      : /^POST .*\/attach/.test(step)
        ? 'attach'
        : /^POST .*\/start/.test(step)
          ? 'start'
          : /^GET \/containers\/[^/]+\/json$/.test(step)
            ? 'inspect'
            : /^DELETE /.test(step)
              ? 'remove'
              : null;
  const sending = send.apply(this, args);
  if (name !== null) {
    mark(name);
    for (const event of ['response', 'upgrade']) sending.once(event, () => mark(`${name}Done`));
  }
  return sending;
};
require('node:module').syncBuiltinESMExports();
process.on('exit', () => {
  mark('exit');
  fs.writeSync(Number(process.env.SJS_BENCH_TRACE), JSON.stringify(marks));
});
