#!/bin/sh
# Install fedward from this folder into a new environment, without any network.
#
#     sh install.sh ENVIRONMENT ROOT_CA
#
# ENVIRONMENT  folder to make, such as /opt/fedward
# ROOT_CA      startup/rootCA.pem of your kit: the wheelhouse must be signed by a project_admin of that network
#
# PYTHON names another Python than python3. Run it again after an interruption.
set -eu

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

[ $# -eq 2 ] || fail "usage: sh install.sh ENVIRONMENT ROOT_CA" 2
case $1 in -*) fail "usage: sh install.sh ENVIRONMENT ROOT_CA" 2 ;; esac
python=${PYTHON:-python3}
[ -f "$2" ] || fail "$2 does not exist: give startup/rootCA.pem of your kit" 2
mkdir -p "$1" || fail "the folder $1 cannot be made"
environment=$(cd "$1" && pwd)
root_ca=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")"

for tool in openssl sha256sum "$python"; do
    command -v "$tool" >/dev/null || fail "$tool is not installed: install it with the system's package manager"
done
[ -f SHA256SUMS ] || fail "SHA256SUMS is missing: the wheelhouse is not complete; copy it again"
[ -f SHA256SUMS.p7s ] || fail "SHA256SUMS.p7s is missing: the wheelhouse is not signed; ask the consortium lead"

echo "checking the signature"
signer=$(mktemp)
trap 'rm -f "$signer"' EXIT
openssl cms -verify -binary -inform PEM -in SHA256SUMS.p7s -content SHA256SUMS -CAfile "$root_ca" \
    -purpose any -signer "$signer" -out /dev/null 2>/dev/null ||
    fail "the signature does not fit: the files were changed, its certificate ran out, or $2 is of another network"
subject=$(openssl x509 -in "$signer" -noout -subject -nameopt RFC2253,sep_multiline,-esc_msb)
echo "$subject" | grep -Eq '^ *unstructuredName=project_admin$' ||
    fail "signed by somebody who is no project_admin of the network: $subject"
echo "$subject" | sed -n 's/^ *CN=/signed by /p'

echo "checking the files"
sha256sum --check --quiet SHA256SUMS || fail "a file is missing or damaged: copy the wheelhouse again"

wanted=$(cat python.txt)
found=$("$python" -c 'import platform, sys
print(platform.python_implementation(), "%d.%d" % sys.version_info[:2], sys.platform, platform.machine())')
[ "$found" = "$wanted" ] ||
    fail "this wheelhouse is for $wanted, $python is $found: name another Python with PYTHON=..., or ask for another one"
needed=$(($(du -sk wheels | cut -f1) * 5))
free=$(df -Pk "$environment" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
[ -x "$environment/bin/fedward" ] || [ "$free" -gt "$needed" ] ||
    fail "$environment has $((free / 1024)) MiB free, about $((needed / 1024)) MiB are needed"

echo "installing into $environment"
"$python" -m venv "$environment" || fail "$python cannot make an environment: install its venv module"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels \
    --only-binary :all: --require-hashes --requirement requirements.txt
"$environment/bin/fedward" --version
