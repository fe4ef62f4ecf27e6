# shellcheck shell=bash disable=SC2034
TITLE="Deno"
VERSION=2.9.5
NPM_PACKAGE_amd64=@deno/linux-x64-glibc
NPM_SHA512_amd64=4c3a9c9e82dede3960a981109bb1fb30aeaad093ad87ea3c89267392744e0e756425f3e23678d59f533565ceaf9e9fa2a64c9be80bf5fc25251e01ed96ae7d1b
NPM_PACKAGE_arm64=@deno/linux-arm64-glibc
NPM_SHA512_arm64=22e623b33f4f1a5ec225c35732e376eca34307c438d1bacadd21b797e4d7303556eb564ac1c9f47d01c11e75c58a2ca013023c6f2fdf2a7012125ba1641d5ab7
PACKAGES=(base-files ca-certificates libc6 libgcc-s1)

lay_runtime() { install -m 755 "$1/package/deno" "$2/usr/local/bin/deno"; }
