#!/bin/sh
# A new installation starts nothing: it has no key yet. An upgrade restarts what
# runs; Telnyx tries again what arrives in that second.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$1" = configure ] && [ -z "$2" ]; then
	echo "hookswitch: set TELNYX_PUBLIC_KEY in /etc/hookswitch/hookswitch.env, then: systemctl enable --now hookswitch"
else
	systemctl try-restart hookswitch.service
fi
