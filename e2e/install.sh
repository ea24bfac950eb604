#!/bin/sh
# Installs what the end-to-end tests need on Debian or Ubuntu: SIPp, baresip, Kamailio, Ansible, tmux and tshark. It does nothing when all is
# there, and starts no service: Kamailio's own is kept down by a policy that is taken away again.
set -eu

missing=""
need() { # program package
	PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need sipp sip-tester
need baresip baresip-core
need kamailio kamailio
need tmux tmux
need tshark tshark
need ip iproute2
need setpriv util-linux
need openssl openssl
need ansible-playbook ansible
[ -e /usr/include/openssl/ssl.h ] || missing="$missing libssl-dev" # bench/sipgen
/usr/bin/python3 -c 'import requests' 2>/dev/null || missing="$missing python3-requests"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "e2e/install.sh: no apt-get here; install the equivalents of:$missing" >&2
	exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
	# Never ask for a password: this runs unattended.
	if ! sudo -n true 2>/dev/null; then
		echo "e2e/install.sh: missing:$missing; as root: apt-get install$missing" >&2
		exit 1
	fi
	sudo="sudo -n"
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod 755 "$policy"
	trap '$sudo rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
fi

fetch() {
	# shellcheck disable=SC2086 # a list of packages
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
}
# The package lists may be old or empty: try, and fetch them only when that fails.
fetch || { $sudo apt-get update -q && fetch; }
