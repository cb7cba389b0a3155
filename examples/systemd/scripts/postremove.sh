#!/bin/sh
# Events and keys stay until the package is purged.
set -e
if [ "$1" = purge ]; then
	rm -rf /var/lib/private/hookswitch /var/lib/hookswitch /etc/hookswitch
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
