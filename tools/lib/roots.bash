# Make clean roots of Debian and run commands in them. Sourced by tools/clean-root; needs $root,
# $place, $mirror, $release, $overlay and $folder.

alone= # set: commands run without a network

# ---- Namespaces ----

# enter TARGET COMMAND...: run a command in the root TARGET. Its mounts and processes end with it.
enter() { unshare --mount --pid ${alone:+--net} --fork --kill-child=KILL -- "$root/tools/clean-root" --inside "$@"; }
inside() { # TARGET COMMAND...
    local target=$1
    shift
    mount --make-rprivate /
    mount -t proc proc "$target/proc"
    mount --rbind /sys "$target/sys"
    mount --rbind /dev "$target/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$target/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$target/run"
    # --pid makes this process number 1: bash reaps children that lose their parent.
    chroot "$target" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
}
as_user() { # TARGET USER COMMAND...: the command runs in the checkout
    local target=$1 user=$2 home=/root
    shift 2
    [ "$user" = root ] || home=/home/$user
    enter "$target" runuser -u "$user" -- env HOME="$home" USER="$user" \
        sh -c 'cd "$0" && exec "$@"' "$home/$folder" "$@"
}

# ---- Roots ----

debian_archive() { # print the address of the first Debian archive of this system's apt
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
        sed -n '1s|/$||p'
}
make_base() { # a root as debian:RELEASE has it: deb822 sources only, no lists, no Python
    local base=$1
    [ ! -e "$base" ] || return 0
    say "making $base"
    rm -rf --one-file-system "$base.new"
    run "$base.log" debootstrap --variant=minbase "$release" "$base.new" "$mirror"
    rm -f "$base.new/etc/apt/sources.list"
    cat >"$base.new/etc/apt/sources.list.d/debian.sources" <<END
Types: deb
URIs: $mirror
Suites: $release $release-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $mirror-security
Suites: $release-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    forget_packages "$base.new"
    mv "$base.new" "$base"
}
forget_packages() { rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/archives/*.deb "$1"/var/cache/apt/*.bin; }

copy_base() { # BASE TARGET
    rm -rf --one-file-system "$2"
    cp -a --reflink=auto "$1" "$2"
    cp -L /etc/resolv.conf "$2/etc/resolv.conf"
    [ -z "$overlay" ] || cp -a "$overlay/." "$2/"
}
install_in() { # TARGET PACKAGE...
    local target=$1
    shift
    run "$target.log" enter "$target" sh -c 'apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' sh "$@"
}

# CPython, built from Debian's copy of the original sources: $place/RELEASE-python.tar; and its
# packages in RELEASE-python.packages.
make_python() {
    local target=$place/$release-builder made=$place/$release-python
    [ ! -e "$made.tar" ] || return 0
    say "building a Python for /usr/local"
    copy_base "$place/$release" "$target"
    sed -i 's/^Types: deb$/Types: deb deb-src/' "$target/etc/apt/sources.list.d/debian.sources"
    install_in "$target" gcc libc6-dev make pkg-config xz-utils dpkg-dev \
        zlib1g-dev libbz2-dev liblzma-dev libffi-dev libssl-dev libsqlite3-dev
    run "$target.log" enter "$target" sh -ec '
        cd /root
        source=$(apt-cache depends python3 | sed -n "s/ *Depends: \(python3\.[0-9]*\)$/\1/p" | tail -n 1)
        apt-get source --tar-only "$source"
        tar xf "$source"_*.orig.tar.*z
        cd [Pp]ython*/
        ./configure --prefix=/usr/local
        make -j"$(nproc)"
        make install
        rm -rf /usr/local/lib/python3.*/test
        ln -sf python3 /usr/local/bin/python
        find /usr/local -name "*.so" -exec ldd {} + | sed -n "s|.*=> \(/[^ ]*\) .*|\1|p" | sort -u |
            while read -r library; do dpkg -S "$library" || dpkg -S "/usr$library"; done 2>/dev/null |
            sed "s/:.*//" | sort -u >/root/packages'
    cp "$target/root/packages" "$made.packages"
    tar cf "$made.new" -C "$target/usr" local
    mv "$made.new" "$made.tar"
    rm -rf --one-file-system "$target"
}

copy_checkout() { # TARGET
    mkdir -p "$1"
    (cd "$root" && git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            [ ! -e "$file" ] || printf '%s\0' "$file"
        done | tar c --null --no-recursion -T -) | tar x -C "$1" --no-same-owner
}
