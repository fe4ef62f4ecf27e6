// test-summary.mjs JEST.json: prints `N passed, N failed[, N skipped]`; exits 1 when a test failed or none ran.
import { existsSync, readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
// Without a result jest itself failed, before or after the tests.
const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { numRuntimeErrorTestSuites: 1 };

const passed = result.numPassedTests ?? 0;
// A suite that could not be loaded counts no test, and yet it failed.
const failed = (result.numFailedTests ?? 0) + (result.numRuntimeErrorTestSuites ?? 0);
const skipped = (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0);

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = passed > 0 && failed === 0 ? 0 : 1;
