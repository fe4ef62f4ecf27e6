// base^exponent mod modulus by squaring: the heart of RSA.
const [base, exponent, modulus] = process.argv.slice(2).map(BigInt);
if (modulus === undefined) {
  console.error('usage: sjs run examples/mod-exp.js -- <base> <exponent> <modulus>');
  process.exit(2);
}

let result = 1n;
for (
  let square = base % modulus, rest = exponent;
  rest > 0n;
  rest >>= 1n, square = (square * square) % modulus
) {
  if (rest & 1n) result = (result * square) % modulus;
}
console.log(String(result));
