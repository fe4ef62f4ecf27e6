/** Worth a write of its own. */
const PIECE = 256 * 1024;

/**
 * The same bytes in larger pieces. A tar comes as headers, contents and paddings, most of them of some hundred bytes: what
 * hashes, sends and writes each for itself takes longer than what made them.
 */
export async function* inPieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes < PIECE) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}
