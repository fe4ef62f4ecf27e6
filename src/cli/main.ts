#!/usr/bin/env node
const args = process.argv.slice(2);

// Asked by scripts before anything else: answered without loading a parser.
if (args.length === 1 && (args[0] === '--version' || args[0] === 'version')) {
  const { createSjs } = await import('../index.js');
  process.stdout.write(`sjs ${createSjs().version}\n`);
} else {
  const { runCli } = await import('./run-cli.js');
  await runCli(args);
}
