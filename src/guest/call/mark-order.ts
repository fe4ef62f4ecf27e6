interface Written {
  write(...args: unknown[]): boolean;
}

/**
 * Two pipes say nothing about which of what came through them was written first. So whenever the program goes on in the other
 * stream, both get a mark: what is behind it in the one is later than what is ahead of it in the other.
 */
export function markOrder(
  streams: readonly [stdout: unknown, stderr: unknown],
  mark: (fd: 1 | 2) => void,
): void {
  let last: 1 | 2 = 1;
  const goOn = (fd: 1 | 2): void => {
    if (fd === last) return;
    last = fd;
    mark(1);
    mark(2);
  };
  for (const [index, stream] of (streams as readonly Written[]).entries()) {
    const fd = index === 0 ? 1 : 2;
    const write = stream.write.bind(stream);
    stream.write = (...args) => {
      goOn(fd);
      return write(...args);
    };
  }
  // What ends the program is told on stderr by Node itself.
  process.on('uncaughtExceptionMonitor', () => goOn(2));
}
