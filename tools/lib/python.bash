# Make .venv and build kju in it. Sourced by tools/setup; needs report.bash and lacking.bash.

fresh_venv= # set: .venv was made by this run and is not complete
make_venv() {
    if [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    rm -rf "$venv"
    [ "$python" != "$venv/bin/python" ] || python=$(find_python)
    fresh_venv=yes
    step "making .venv with $("$python" --version)" "$python" -m venv "$venv"
}
remove_fresh_venv() {
    [ -z "$fresh_venv" ] || rm -rf "$venv"
}

# The build finds meson and ninja of .venv in PATH. A personal pip.conf may set `user = true`.
pip() {
    PATH=$venv/bin:$PATH PIP_USER=0 PIP_PROGRESS_BAR=off "$venv/bin/python" -m pip --disable-pip-version-check --no-input \
        --retries "${PIP_RETRIES:-2}" "$@"
}

build() {
    local wanted="$root/build/requirements.txt" installed=$venv/requirements.txt stamp sources_hash
    "$venv/bin/python" tools/lib/requirements.py "$installed" ${extras[@]+"${extras[@]}"} >"$wanted"
    if ! cmp -s "$wanted" "$installed"; then
        step "installing Python packages into .venv" pip install -r "$wanted"
        cp "$wanted" "$installed"
    fi
    # Every source of the package; each Python has a build of its own.
    sources_hash=$(find include csrc src meson* pyproject.toml docs/package.md -type f \
        ! -name '*.pyc' ! -name '*.so' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    stamp=$venv/kju.stamp
    if [ "$(cat "$stamp" 2>/dev/null)" != "$sources_hash" ] || ! [ -x "$venv/bin/kju" ]; then
        step "building kju" pip install --no-build-isolation --no-deps --force-reinstall \
            --config-settings=build-dir="build/wheel-$("$venv/bin/python" -c 'import sys; print(sys.implementation.cache_tag)')" .
        printf '%s\n' "$sources_hash" >"$stamp"
    fi
    fresh_venv=
}
