#!/usr/bin/env bash
# Builds the collection, installs the tarball elsewhere and uses it from there.
set -euo pipefail
build=$1
# All but the drawing, which is somebody's.
rm -rf "$build"/{elsewhere,home,ansible.cfg} "$build"/*.tar.gz
mkdir -p "$build"
ansible-galaxy collection build --output-path "$build" .
tarball=$(ls "$build"/bookface-platform-*.tar.gz)

# Neither what runs leave behind nor what only a checkout needs.
unwanted=$(tar -tzf "$tarball" | grep -E '^(\.|logs|build)|__pycache__|\.venv' || true)
if [ -n "$unwanted" ]; then
  printf 'these do not belong into the tarball:\n%s\n' "$unwanted" >&2
  exit 1
fi

# Nothing of this checkout's settings, or its own link would be found instead.
touch "$build/ansible.cfg"
export ANSIBLE_COLLECTIONS_PATH=$build/elsewhere ANSIBLE_CONFIG=$build/ansible.cfg
cd "$build"
ansible-galaxy collection install --offline --no-deps "$tarball"
ansible-doc --type module bookface.platform.haproxy_default_backend > /dev/null
ansible-doc --type filter bookface.platform.backends > /dev/null
ansible-doc --type filter bookface.platform.topology > /dev/null
ansible-doc --type lookup bookface.platform.tree_digest > /dev/null
ansible-playbook --syntax-check --inventory "$build/elsewhere/ansible_collections/bookface/platform/inventories/lab" \
  bookface.platform.site
ansible localhost -m ansible.builtin.debug -a "msg={{ 2 | bookface.platform.web_containers(32001) }}" | tee /dev/stderr \
  | grep -q bookface-web-2
