# Sourced by the scripts in this folder: the project's own virtual environment, made or brought up to date.
# Needs nothing but a Python 3.11 or later with its venv module, and touches nothing outside the checkout.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${OCPY_VENV:-$here/.venv}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or later with its venv module was found (set PYTHON to name one)" >&2
    return 1
}

# prepare_environment EXTRAS: EXTRAS is "" or "[test]". Installs only when pyproject.toml or the extras changed.
prepare_environment() {
    local python stamp wanted
    stamp=$venv/.openchange-py-installed
    wanted="$(cksum <"$here/pyproject.toml") $1 $here"
    if [ -x "$venv/bin/ocpy" ] && grep -qsxF "$wanted" "$stamp"; then
        return
    fi
    python=$(find_python) || return 1
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    echo "Installing openchange_py${1:+ with what $1 needs} into $venv ..."
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$here$1"
    # An environment that has the test tools keeps them: [test] includes the plain installation.
    { echo "$wanted"; [ -z "$1" ] || echo "$(cksum <"$here/pyproject.toml")  $here"; } >"$stamp"
}
