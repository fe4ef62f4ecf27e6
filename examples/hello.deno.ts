// sjs run examples/hello.deno.ts --language deno -- Ada
const [name = 'world'] = Deno.args;
const version: string = Deno.version.deno;
console.log(`hello, ${name}: Deno ${version}`);
