# shellcheck shell=bash disable=SC2034
TITLE="Python"
PROGRAM=python3

# Debian's python3 without pip, the packages that its compiled modules are linked with, and the zones of zoneinfo. What the
# module `nis` alone needs (Kerberos among it) stays out, and so does the module.
list_packages() {
  local minimal version
  minimal=$(direct_dependencies python3-minimal | grep -E '^python3\.[0-9]+-minimal$') || return 1
  version=${minimal%-minimal}
  # Compiled wheels want libstdc++, which every manylinux has.
  printf '%s\n' base-files ca-certificates libc6 libgcc-s1 libstdc++6 tzdata \
    python3-minimal "$minimal" "lib$minimal" "lib$version-stdlib"
  direct_dependencies "$minimal" "lib$minimal" "lib$version-stdlib" |
    grep -v -E '^(libnsl2|libtirpc.*|mime-support)$'
}

# The version is Debian's: 3.11.2 of 3.11.2-6+deb12u6.
find_version() { dpkg-deb -f "$(echo "$1"/python3.*-minimal_*.deb)" Version | grep -o -E '^[0-9]+\.[0-9]+\.[0-9]+'; }

lay_runtime() {
  local tree=$2 library
  library=$(echo "$tree"/usr/lib/python3.*)
  rm -f "$library"/lib-dynload/nis.*
  # Tools of Debian's packaging; a hook of crash reports; what only a screen wants.
  rm -rf "$tree"/usr/bin/py3* "$tree/usr/share/python3" "$tree"/usr/share/pixmaps "$tree"/usr/share/applications \
    "$library/sitecustomize.py" "$tree"/etc/python3* "$library"/turtledemo "$library"/idlelib "$library"/tkinter \
    "$tree/usr/share/binfmts" "$tree/usr/lib/binfmt.d" "$tree/usr/share/bug" "$tree"/usr/share/zoneinfo/{posix,right}
  # Nothing can be written where it lies: compiled once here, or at each start.
  PYTHONHOME=$tree/usr PYTHONHASHSEED=0 run_in_tree "$tree" "$tree"/usr/bin/python3.* -B -s -S -W ignore \
    "$DESCRIPTIONS/compile-python.py" "$tree" "$library"
}

# What is loaded when it is wanted needs its libraries too.
list_programs() { (cd "$1" && find usr/bin/python3.* usr/lib/python3.* -name '*.so' -o -path 'usr/bin/*'); }
