// sjs run examples/hello.bun.ts --language bun -- Ada
const [name = 'world'] = Bun.argv.slice(2);
const version: string = Bun.version;
console.log(`hello, ${name}: Bun ${version}`);
