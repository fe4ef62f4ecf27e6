# shellcheck shell=bash disable=SC2034
TITLE="Bun"
VERSION=1.4.5
# Needs AVX2 on x86-64, which bun-linux-x64-baseline does not.
NPM_PACKAGE_amd64=@oven/bun-linux-x64
NPM_SHA512_amd64=2165fd0442e8187014b4ca2791e49a35a6705f3464fa80f0e8c93e1c115777728760804d06c20646ea4c64f7203680db2692eeea00098c8a0854f66db75689d6
NPM_PACKAGE_arm64=@oven/bun-linux-aarch64
NPM_SHA512_arm64=e015e6b122a78ceae5196a99578c7fa166bb015a11f81ea509775d3333805c1226dede747ac960f706faea09ad5b501a984435975083be69abbb2b0486a39632
PACKAGES=(base-files ca-certificates libc6 libgcc-s1)

lay_runtime() { install -m 755 "$1/package/bin/bun" "$2/usr/local/bin/bun"; }
