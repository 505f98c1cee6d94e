#!/usr/bin/env bash
# ansible-test sanity on the collection as build.sh has installed it.
set -euo pipefail
build=$1
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test downloads pip's bootstrap script from outside PyPI. Its cache takes this one, which runs pip's own
# wheel with the same arguments.
export HOME=$build/home
cache=$HOME/.ansible/test/cache
mkdir -p "$cache"
pip download --quiet --no-deps --dest "$cache" pip==24.2
cat > "$cache/get_pip_24_2.py" <<'PYTHON'
import pathlib, runpy, sys

wheel = next(pathlib.Path(__file__).resolve().parent.glob("pip-*.whl"))
options = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.path.insert(0, str(wheel))
sys.argv = ["pip", "install", *options, str(wheel)]
runpy.run_module("pip", run_name="__main__")
PYTHON

cd "$build/elsewhere/ansible_collections/bookface/platform"
git init --quiet .  # ansible-test takes the files that git knows
git add --all .
ansible-test sanity --local --python "$python" --color no
