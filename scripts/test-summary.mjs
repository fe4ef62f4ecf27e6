// test-summary.mjs JEST.json…: prints `N passed, N failed[, N skipped]`; exits 1 when a test failed or a run had none.
import { existsSync, readFileSync } from 'node:fs';

const count = { passed: 0, failed: 0, skipped: 0 };
let isComplete = process.argv.length > 2;
for (const file of process.argv.slice(2)) {
  // Without a result jest itself failed, before or after the tests.
  const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { numRuntimeErrorTestSuites: 1 };
  isComplete &&= result.numPassedTests > 0;
  count.passed += result.numPassedTests ?? 0;
  // A suite that could not be loaded counts no test, and yet it failed.
  count.failed += (result.numFailedTests ?? 0) + (result.numRuntimeErrorTestSuites ?? 0);
  count.skipped += (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0);
}

const { passed, failed, skipped } = count;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = isComplete && failed === 0 ? 0 : 1;
