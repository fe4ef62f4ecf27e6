// The smallest program: sjs run examples/hello-world.js
console.log('Hello, world!');
