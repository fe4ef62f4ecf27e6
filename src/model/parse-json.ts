/** No document that sjs reads is nested so deep; what walks one, as canonical JSON does, would run out of stack. */
const DEEPEST = 100;

/** The value of a JSON text that somebody else wrote. @throws SyntaxError when it is none, or nested too deep. */
export function parseJson(text: string): unknown {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const found = text[at];
    if (isInString) {
      if (found === '\\') at += 1;
      else isInString = found !== '"';
    } else if (found === '"') isInString = true;
    else if (found === '[' || found === '{') depth += 1;
    else if (found === ']' || found === '}') depth -= 1;
    if (depth > DEEPEST) throw new SyntaxError(`nested deeper than ${DEEPEST} levels`);
  }
  return JSON.parse(text);
}
