/** When the next connection may begin, at so many a second; so many at once after a pause. */
export class Turns {
  private readonly everyMs: number;
  private readonly slackMs: number;
  /** When the one after the last is due. */
  private dueMs = -Infinity;

  constructor(perSecond: number, atOnce: number) {
    this.everyMs = 1000 / perSecond;
    this.slackMs = (atOnce - 1) * this.everyMs;
  }

  /** How long the next one waits. @param nowMs by a clock that never goes back */
  take(nowMs: number): number {
    const due = Math.max(this.dueMs, nowMs - this.slackMs);
    this.dueMs = due + this.everyMs;
    return Math.max(0, due - nowMs);
  }
}
