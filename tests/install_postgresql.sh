#!/bin/sh
# Installs PostgreSQL for the tests from the system's packages where that needs no question; says so where it does.
# The tests start a server of their own, so the one that the package may start is not used.
set -u
PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
have_postgresql() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_postgresql && exit 0

as_root=""
cannot="no package manager here brought it"
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=false; cannot="you are not root"; fi
fi

echo "installing PostgreSQL from the system's packages ..."
if command -v apt-get >/dev/null 2>&1; then
  { $as_root apt-get install -y -qq postgresql || { $as_root apt-get update -qq && $as_root apt-get install -y -qq postgresql; }; } >/dev/null 2>&1
elif command -v dnf >/dev/null 2>&1; then $as_root dnf install -y -q postgresql-server >/dev/null 2>&1
elif command -v apk >/dev/null 2>&1; then $as_root apk add -q postgresql >/dev/null 2>&1
elif command -v brew >/dev/null 2>&1; then brew install -q postgresql >/dev/null 2>&1
fi
have_postgresql && exit 0
echo "PostgreSQL is not installed ($cannot): tests that need it skip."
echo "To have it: sudo apt-get install postgresql"
[ "${CI:-}" != true ]
