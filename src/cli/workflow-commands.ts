/**
 * What CI systems act on when it stands in a log, whoever wrote it: GitHub (`##[`, `::name`), Azure (`##vso[`),
 * TeamCity (`##teamcity[`), GitLab (`section_start:`). GitHub's old form, Azure's and TeamCity's count anywhere in a
 * line; `::` counts at its start, white space apart (actions/runner, ActionCommand.cs).
 */
const ANYWHERE = ['##[', '##vso[', '##teamcity[', 'section_start:', 'section_end:'];
const AT_START = '::';

/** Whether a CI system reads the output. `CI=false` is how CI is turned off where it is set for everybody. */
export const isCi = (env: NodeJS.ProcessEnv): boolean => !['', '0', 'false'].includes(env['CI'] ?? '');

/** Breaks workflow commands in clean text, character by character; holds back what may still become one. */
export class WorkflowCommandFilter {
  private held = '';
  private atStart = true;

  /**
   * A place where another stream of the same log may have begun a new line: a command there would count.
   */
  startLine(): void {
    this.atStart = true;
  }

  /** Takes one character; returns what can be shown by now. */
  push(character: string): string {
    if (this.held === '' && !/[#:s]/i.test(character)) return this.release(character);
    this.held += character;
    let shown = '';
    while (this.held !== '') {
      const text = this.held.toLowerCase();
      const commands = this.atStart ? [...ANYWHERE, AT_START] : ANYWHERE;
      if (commands.includes(text)) {
        shown += `\\x${text.charCodeAt(0).toString(16)}${this.held.slice(1)}`;
        this.held = '';
        this.atStart = false;
      } else if (commands.some((command) => command.startsWith(text))) {
        return shown;
      } else {
        shown += this.release(this.held.charAt(0));
        this.held = this.held.slice(1);
      }
    }
    return shown;
  }

  /** Hands over what is held back; nothing follows that could complete it. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }

  private release(character: string): string {
    if (character === '\n') this.atStart = true;
    else if (this.atStart && !/\s/.test(character)) this.atStart = false;
    return character;
  }
}
