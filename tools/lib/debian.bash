# Install Debian's packages. Sourced by tools/setup; needs report.bash and lacking.bash.

apt_options=(-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0
    -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15
    -o Acquire::EnableSrvRecords=false) # one query less while a name server does not answer
own_source=/etc/apt/sources.list.d/kju-backports # .sources or .list
added_source= # set: its file, not yet verified

# sudo asks for its password here, before a step hides the output.
become_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null || stop "missing: $(missing). Run this once as root, or install sudo"
    sudo -n true 2>/dev/null && return
    [ -t 0 ] || stop "missing: $(missing). sudo needs a password, and there is no terminal to ask for it: run this in a terminal, or as root"
    say "sudo is needed to install: $(missing)"
    sudo -v || stop "sudo gave no permission: run this as root once"
}
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}
# In English, because the output is parsed. sudo would drop the proxies of the environment.
apt() {
    local name settings=()
    for name in http_proxy https_proxy no_proxy HTTPS_PROXY NO_PROXY; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C RES_OPTIONS='timeout:2 attempts:2' \
        "${settings[@]}" apt-get -y "${apt_options[@]}" "$@"
}

# An entry that cannot be parsed makes apt reject all of them: leave it out.
avoid_broken_sources() {
    local entry
    apt-get indextargets >>"$log" 2>&1 && return
    while IFS= read -r entry; do
        say "apt cannot read one of its sources, which is left out: $entry"
    done < <(tools/apt-sources split build/apt-sources)
    apt_options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$root/build/apt-sources"
        -o APT::Get::List-Cleanup=0)
}

# Print "URI SUITE: REASON" for every source that the newest step could not reach.
unreached() {
    attempt_output | awk '/^Err:[0-9]+ / { place = $2 " " $3; next }
        place != "" { sub(/^ +/, ""); if (!seen[place]++) print place ": " $0; place = "" }'
}
update() {
    local failed first
    # Without the error mode apt reports success while the network does not answer.
    attempt "reading the package lists (apt-get update)" apt update -o APT::Update::Error-Mode=any && return
    failed=$(unreached)
    first=${failed%%$'\n'*}
    if [ -z "$failed" ]; then
        attempt_output | tail -n 20 >&2
        stop "failed: apt-get update (log: build/setup.log)"
    fi
    if ! attempt_output | grep -E '^(Get|Hit):[0-9]+ ' >/dev/null; then
        stop "no package source answered ($first)
setup: check the network, or set apt's proxy (Acquire::http::Proxy in /etc/apt/apt.conf.d); then run this again"
    fi
    while IFS= read -r first; do
        say "a package source did not answer, which may not matter: $first"
    done <<<"$failed"
}

knows_backports() {
    [ -n "$(apt-get "${apt_options[@]}" indextargets --format '$(URI)' 'Created-By: Packages' \
        'Origin: Debian Backports' "Codename: $codename-backports")" ]
}
add_backports() {
    local entry uri
    while IFS=$'\t' read -r entry uri; do
        added_source=$own_source.${entry##*.}
        say "adding $codename-backports of ${uri%/} in $added_source"
        as_root install -m 644 "$entry" "$added_source"
        attempt "reading its package lists" apt update -o APT::Update::Error-Mode=any \
            -o Dir::Etc::SourceList="$added_source" -o Dir::Etc::SourceParts=/dev/null \
            -o APT::Get::List-Cleanup=0 || true
        [[ ${apt_options[*]} != *build/apt-sources* ]] || cp "$entry" "build/apt-sources/zzz-${entry##*/}"
        if knows_backports; then
            added_source=
            return
        fi
        remove_added_source
    done < <(tools/apt-sources backports "$codename" build/backports)
    stop "no backports of Debian $codename were found, which have QEMU >= $newest_needed: no apt source of Debian $codename has them. Add one whose suite is $codename-backports"
}
remove_added_source() {
    [ -n "$added_source" ] || return 0
    as_root rm -f "$added_source"
    rm -f build/apt-sources/zzz-*
    added_source=
}

install_on_debian() {
    local newest='' target=() qemu=(qemu-system-x86 qemu-system-modules-opengl seabios qemu-utils)
    # The boards of other architectures, of the same release as the others.
    ! wants check || qemu+=(qemu-system-arm qemu-system-misc qemu-system-riscv)
    become_root
    avoid_broken_sources
    update
    if [ -n "$want_qemu" ]; then
        newest=$(apt-cache "${apt_options[@]}" madison qemu-system-x86 |
            awk -F ' *[|] *' '$3 !~ /backports/ && !found { found = $2 } END { print found }')
        if ! dpkg --compare-versions "${newest:-0}" ge "1:$newest_needed"; then
            target=(-t "$codename-backports")
            knows_backports || add_backports
        fi
    fi
    if [ ${#packages[@]} -gt 0 ]; then
        # QEMU of the backports has installed their libgbm1; Mesa's packages must have one version.
        if { wants check || wants desktop; } &&
            [[ $(dpkg-query -W -f='${Version}' libgbm1 2>/dev/null) == *~bpo* ]]; then
            packages+=({libegl-mesa0,libgl1-mesa-dri,libglx-mesa0}/"$codename-backports")
        fi
        say "missing packages: ${packages[*]}"
        step "installing ${#packages[@]} packages" apt install --no-install-recommends "${packages[@]}"
    fi
    if [ -n "$want_qemu" ]; then
        step "installing QEMU${target:+ from $codename-backports}" apt install --no-install-recommends \
            "${target[@]}" "${qemu[@]}"
    fi
}
