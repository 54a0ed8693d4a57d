#!/bin/sh
# Brings Mosquitto from the system's packages where that is possible without asking anybody; says so where it is not.
set -u
PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
command -v mosquitto >/dev/null 2>&1 && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; fi
  [ -n "$as_root" ] || cannot="you are not root"
fi

if [ -z "${cannot:-}" ]; then
  echo "installing Mosquitto from the system's packages ..."
  if command -v apt-get >/dev/null 2>&1; then
    { $as_root apt-get install -y -qq mosquitto || { $as_root apt-get update -qq && $as_root apt-get install -y -qq mosquitto; }; } >/dev/null 2>&1
  elif command -v dnf >/dev/null 2>&1; then $as_root dnf install -y -q mosquitto >/dev/null 2>&1
  elif command -v apk >/dev/null 2>&1; then $as_root apk add -q mosquitto >/dev/null 2>&1
  elif command -v brew >/dev/null 2>&1; then brew install -q mosquitto >/dev/null 2>&1
  fi
  command -v mosquitto >/dev/null 2>&1 && exit 0
  cannot="no package manager here brought it"
fi
echo "Mosquitto is not installed ($cannot): the demo uses the embedded broker, and tests that need Mosquitto skip."
echo "To have it: sudo apt-get install mosquitto"
exit 0
