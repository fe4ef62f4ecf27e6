type Write = (...args: unknown[]) => unknown;

/** What goes to stderr of a console; all else it writes goes to stdout. */
const TO_STDERR: readonly string[] = ['error', 'warn', 'trace', 'assert'];
const TO_STDOUT: readonly string[] = [
  'log',
  'info',
  'debug',
  'dir',
  'dirxml',
  'table',
  'count',
  'timeEnd',
  'timeLog',
];

/**
 * Two pipes say nothing about which of what came through them was written first. So whenever the program goes on in the other
 * stream, both get a mark: what is behind it in the one is later than what is ahead of it in the other.
 * @returns to be called ahead of what others write
 */
export function markOrder(mark: (fd: 1 | 2) => void): (fd: 1 | 2) => void {
  let last: 1 | 2 = 1;
  const goOn = (fd: 1 | 2): void => {
    if (fd === last) return;
    last = fd;
    mark(1);
    mark(2);
  };
  const wrap = (target: object, names: readonly string[], fd: 1 | 2): void => {
    const methods = target as Record<string, Write>;
    for (const name of names) {
      const write = methods[name];
      if (write === undefined) continue;
      methods[name] = (...args) => {
        goOn(fd);
        return Reflect.apply(write, target, args);
      };
    }
  };
  wrap(process.stdout, ['write'], 1);
  wrap(process.stderr, ['write'], 2);
  // In Deno and Bun a console does not go through these.
  wrap(console, TO_STDOUT, 1);
  wrap(console, TO_STDERR, 2);
  // What ends the program is told on stderr by Node itself.
  process.on('uncaughtExceptionMonitor', () => goOn(2));
  return goOn;
}
