const LONGEST_LINE = 64 * 1024;

/** The lines of the engine's statistics, as they come; they end before one that is too long. */
export async function* readLines(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void, void> {
  let rest = '';
  for await (const chunk of stream) {
    rest += chunk.toString('utf8');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) return;
    yield* lines;
  }
}
