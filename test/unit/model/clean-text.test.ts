import { expect, test } from '@jest/globals';
import { cleanText } from '../../../src/model/clean-text.js';

test.each([
  ['plain words', 'plain words'],
  ['  two\n  lines\r\nand\ta tab \n', 'two lines and a tab'],
  ['\u001b[31mred\u001b[0m', '\\x1b[31mred\\x1b[0m'],
  ['\u001b]52;c;aGk=\u0007', '\\x1b]52;c;aGk=\\x07'],
  ['\u009b2J', '\\x9b2J'],
  ['over\rwrite', 'over\\x0dwrite'],
  ['a\u202eb\u200bc\ufeffd\u2028e', 'a\\u202eb\\u200bc\\ufeffd\\u2028e'],
  ['\u{e0041}', '\\u{e0041}'],
  ['\ud800', '\\ud800'],
  ['grüße 日本 😀', 'grüße 日本 😀'],
])('%j becomes %j', (text, clean) => expect(cleanText(text)).toBe(clean));

test('a long text is cut, and never within a character', () => {
  expect(cleanText('x'.repeat(5000))).toBe(`${'x'.repeat(1000)}…`);
  expect(cleanText(`x${'😀'.repeat(5000)}`)).toBe(`x${'😀'.repeat(499)}…`);
});
