const LF = 0x0a;

/** The last lines of a stream, whatever the pieces it comes in. */
export class TailLines {
  private readonly most: number;
  private pieces: Uint8Array[] = [];
  /** Line ends in each of the pieces. */
  private ends: number[] = [];
  private total = 0;

  /** @param most how many lines; what follows the last line end counts as one */
  constructor(most: number) {
    this.most = most;
  }

  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    const ends = countEnds(piece);
    this.pieces.push(piece);
    this.ends.push(ends);
    this.total += ends;
    // A piece can go when those behind it have more line ends than can be asked for.
    while (this.pieces.length > 1 && this.total - (this.ends[0] ?? 0) > this.most) {
      this.total -= this.ends.shift() ?? 0;
      this.pieces.shift();
    }
  }

  /** The last lines, exactly as they came. */
  take(): Uint8Array {
    const all = Buffer.concat(this.pieces);
    this.pieces = [];
    this.ends = [];
    this.total = 0;
    if (this.most === 0) return all.subarray(all.length);
    // The end of the last line is not the beginning of another.
    let at = all.at(-1) === LF ? all.length - 1 : all.length;
    for (let lines = 0; lines < this.most && at > 0; lines += 1) {
      at = all.lastIndexOf(LF, at - 1);
      if (at === -1) return all;
    }
    return at === 0 && all[0] !== LF ? all : all.subarray(at + 1);
  }
}

function countEnds(piece: Uint8Array): number {
  let count = 0;
  for (let at = piece.indexOf(LF); at !== -1; at = piece.indexOf(LF, at + 1)) count += 1;
  return count;
}
