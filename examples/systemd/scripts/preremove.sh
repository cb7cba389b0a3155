#!/bin/sh
# Removed, and not replaced by a newer version ($1 is "remove" or, in an rpm, 0).
set -e
[ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0) systemctl disable --now hookswitch.service || true ;;
esac
