#!/bin/sh
# A new installation starts nothing: it has no key yet. An upgrade restarts what
# runs; Telnyx tries again what arrives in that second.
set -e
# The service reads its settings itself, as the user hookswitch. Whoever has given
# the file to somebody else has a reason.
if command -v systemd-sysusers >/dev/null; then systemd-sysusers hookswitch.conf; fi
if getent group hookswitch >/dev/null && [ "$(stat -c %U:%G:%a /etc/hookswitch/hookswitch.env)" = root:root:600 ]; then
	chgrp hookswitch /etc/hookswitch/hookswitch.env
	chmod 640 /etc/hookswitch/hookswitch.env
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$1" = configure ] && [ -z "$2" ]; then
	echo "hookswitch: set TELNYX_PUBLIC_KEY in /etc/hookswitch/hookswitch.env, then: systemctl enable --now hookswitch"
else
	systemctl try-restart hookswitch.service
fi
