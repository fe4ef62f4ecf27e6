import { SPDX } from '@cyclonedx/cyclonedx-library';

/** What the text of a licence field is: an SPDX identifier, an SPDX expression, or words. */
export function kindOfLicence(text: string): 'id' | 'expression' | 'name' {
  if (SPDX.isSupportedSpdxId(text)) return 'id';
  return isExpression(text) ? 'expression' : 'name';
}

/** Identifiers joined by AND, OR and WITH, in parentheses that close. */
function isExpression(text: string): boolean {
  let depth = 0;
  let wantsOperand = true;
  for (const token of text.match(/[()]|[^\s()]+/g) ?? []) {
    if (token === '(' || token === ')') {
      if ((token === '(') !== wantsOperand) return false;
      depth += token === '(' ? 1 : -1;
      if (depth < 0) return false;
    } else {
      const isGood = wantsOperand
        ? SPDX.isSupportedSpdxId(token.replace(/\+$/, '')) || /^LicenseRef-[A-Za-z0-9.-]+$/.test(token)
        : /^(?:AND|OR|WITH)$/.test(token);
      if (!isGood) return false;
      wantsOperand = !wantsOperand;
    }
  }
  return depth === 0 && !wantsOperand;
}
