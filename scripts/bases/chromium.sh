# shellcheck shell=bash disable=SC2034
# Node.js and Debian's headless Chromium, for browser jobs: /usr/bin/chromium. The version is Node's, as in the base `node`:
# it is what a sandbox.yaml asks for, and what decides Node's flags. Chromium's is in the image's Env.
INPUTS=("$DESCRIPTIONS/node.sh")
# shellcheck source=scripts/bases/node.sh
. "${INPUTS[0]}"
TITLE="Node.js and Chromium"
PROGRAM=node
CHROMIUM=usr/lib/chromium/chromium-headless-shell

# What Chromium depends on, down to the last library, but for what these packages are for: windows on a screen, questions
# while installing, tools. They pass for installed, and bring nothing.
UNWANTED=(debconf debconf-2.0 init-system-helpers lsb-base mawk openssl sysvinit-utils x11-common x11-utils xdg-utils xkb-data)

list_packages() {
  local status name
  status=$(mktemp "$WORK/status.XXXXXX")
  for name in "${UNWANTED[@]}"; do
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nVersion: 9999\nMaintainer: nobody\nDescription: left out\n\n' "$name"
  done >"$status"
  LC_ALL=C apt-get -o Dir::State::status="$status" -o Dir::State::extended_states=/dev/null -o Debug::NoLocking=1 \
    --no-install-recommends --simulate install "${PACKAGES[@]}" chromium-headless-shell fonts-liberation 2>>"$LOG" |
    sed -n 's/^Inst \([^ :]*\).*/\1/p' | grep .
}

list_env() {
  echo "NODE_VERSION=$VERSION"
  # 156.0.8078.79 of 156.0.8078.79-1~deb12u1
  dpkg-deb -f "$(echo "$1"/chromium-headless-shell_*.deb)" Version | sed 's/-.*//; s/^/CHROMIUM_VERSION=/'
}

lay_runtime() {
  local tree=$2
  lay_node "$@"
  # Debian's is a script, and there is no shell.
  rm "$tree/usr/bin/chromium-headless-shell"
  ln -s "../../$CHROMIUM" "$tree/usr/bin/chromium"
  # Graphics cards' debugging, reports of crashes (which would need ptrace), what only a screen or a sound card wants.
  rm -rf "$tree"/usr/lib/chromium/{libVk*,*.TOC,chrome_crashpad_handler,chrome-sandbox} "$tree"/usr/share/{X11,alsa,libdrm,bug,xml} \
    "$tree"/etc/{X11,pulse,default,dbus-1}
}

# One library lies in a folder of its own, which only the one that needs it knows.
libraries_of() { echo "$1"/usr/lib/*-linux-gnu* "$1"/usr/lib/*-linux-gnu*/pulseaudio | tr ' ' :; }
# Libraries of NSS are loaded when they are wanted.
list_programs() { (cd "$1" && echo usr/local/bin/node && echo "$CHROMIUM" && find usr/lib -name 'libsoftokn3.so' -o -name 'libnssckbi.so' -o -name 'libfreeblpriv3.so'); }
