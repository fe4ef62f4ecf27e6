// Arguments come after `--`: sjs run <tag> -- Ada
const [name = 'world'] = process.argv.slice(2);
console.log(`hello, ${name}`);
