# Find missing packages. Sourced by tools/setup; needs $venv, $on_debian and $newest_needed.

python=      # the path of a Python that is new enough; empty: none
packages=()  # Debian's names of missing packages that every release has
want_qemu=   # set: QEMU is missing or too old
extras=()    # of pyproject.toml

wants() { # EXTRA: succeed if it was requested, directly or by the tests
    case " ${extras[*]-} " in
    *" $1 "* | *" check "*) ;;
    *) return 1 ;;
    esac
}

new_enough() { "$1" -c 'import sys, sysconfig
sys.exit(sys.version_info < (3, 11) or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))' \
    >/dev/null 2>&1; }
find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} "$venv/bin/python" python3 python3.{14,13,12,11} /usr/bin/python3; do
        if command -v "$name" >/dev/null && new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
}
# Print the missing parts of this Python: headers, venv. And "own" if it is not the system's.
python_lacks() { "$1" - <<'PYTHON'
import importlib.util, pathlib, sys, sysconfig
if not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists():
    print("headers")
if not importlib.util.find_spec("ensurepip"):
    print("venv")
if sys.base_prefix != "/usr":
    print("own")
PYTHON
}
# Print QEMU's version, such as 10.0.2; nothing if it is missing or has no D-Bus display.
qemu_version() {
    command -v qemu-system-x86_64 >/dev/null || return 0
    # Each reader reads to the end: one that exits early would fail the pipeline.
    qemu-system-x86_64 -display help 2>/dev/null | grep -x dbus >/dev/null || return 0
    qemu-system-x86_64 --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p'
}
at_least() { # VERSION WANTED
    [ -n "$1" ] && printf '%s\n' "$2" "$1" | sort -V -C
}
sanitizers() {
    local runtime
    command -v clang >/dev/null || return 1
    runtime=$(clang -print-file-name="libclang_rt.asan-$(uname -m).a")
    [ -e "$runtime" ] || [ -e "$(clang -print-file-name=libclang_rt.asan.a)" ]
}

# The libraries that PySide6's wheels need for windows on X11, by their names for the loader.
qt_libraries=(libEGL.so.1:libegl1 libGL.so.1:libgl1 libdbus-1.so.3:libdbus-1-3
    libfontconfig.so.1:libfontconfig1 libxkbcommon-x11.so.0:libxkbcommon-x11-0
    libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4
    libxcb-image.so.0:libxcb-image0 libxcb-keysyms.so.1:libxcb-keysyms1
    libxcb-render-util.so.0:libxcb-render-util0 libxcb-shape.so.0:libxcb-shape0
    libxcb-xkb.so.1:libxcb-xkb1)
find_missing_for_qt() {
    local library known
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) || return 0 # no list: the import will fail
    for library in "${qt_libraries[@]}"; do
        [[ $known == *"${library%%:*}"* ]] || packages+=("${library#*:}")
    done
}

find_missing_for_python() {
    local lacks
    python=$(find_python)
    if [ -z "$python" ]; then
        packages+=(python3 python3-dev python3-venv)
        return
    fi
    lacks=$(python_lacks "$python") || stop "$python does not work: its error is above; set PYTHON to another Python >= 3.11"
    if [[ $lacks == *own* && $lacks == *[hv]e* ]]; then
        lacks=${lacks%$'\n'own}
        stop "$python has no ${lacks//$'\n'/ and no }: install those, or set PYTHON to another Python >= 3.11"
    fi
    [[ $lacks != *headers* ]] || packages+=(python3-dev)
    [[ $lacks != *venv* ]] || packages+=(python3-venv)
}

# Packages of the tests, without those that extras need as well.
find_missing_for_check() {
    sanitizers || packages+=(clang libclang-rt-dev)
    compgen -G '/usr/lib/*/libc.a' >/dev/null || packages+=(libc6-dev)
    [ -e /usr/include/xkbcommon/xkbcommon.h ] || packages+=(libxkbcommon-dev)
    [ -e /usr/share/X11/xkb/symbols/us ] || packages+=(xkb-data)
    [ -e /usr/share/X11/locale/en_US.UTF-8/Compose ] || packages+=(libx11-data)
    command -v Xvfb >/dev/null || packages+=(xvfb)
    command -v xwd >/dev/null || packages+=(x11-apps)
    command -v xterm >/dev/null || packages+=(xterm)
    command -v xrandr >/dev/null || packages+=(x11-xserver-utils)
    command -v xdotool >/dev/null || packages+=(xdotool)
    [ -e /usr/share/fonts/X11/misc ] || packages+=(xfonts-base)
    command -v openbox >/dev/null || packages+=(openbox)
    command -v strace >/dev/null || packages+=(strace)
    command -v zstd >/dev/null || packages+=(zstd)
    command -v xz >/dev/null || packages+=(xz-utils)
    command -v bzip2 >/dev/null || packages+=(bzip2)
    command -v dbus-daemon >/dev/null || packages+=(dbus-daemon)
    [ -e /usr/libexec/at-spi-bus-launcher ] || packages+=(at-spi2-core)
    command -v wasm-ld >/dev/null || packages+=(lld)
    command -v chromium >/dev/null || packages+=(chromium)
    [ -n "$on_debian" ] || return 0 # other systems have no package of these
    [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || packages+=(ovmf)
    [ -e /usr/share/AAVMF/AAVMF_CODE.fd ] || packages+=(qemu-efi-aarch64)
    compgen -G '/usr/share/AAVMF/AAVMF32_CODE*.fd' >/dev/null || packages+=(qemu-efi-arm)
    [ -e /usr/games/xinv3d ] || packages+=(xinv3d)
    command -v gpg >/dev/null || packages+=(gpg gpg-agent)
    command -v spin >/dev/null || packages+=(spin)
    command -v g++ >/dev/null || packages+=(g++)
    [ -e /usr/include/relacy/relacy.hpp ] || packages+=(relacy-dev)
}

find_missing() {
    local name
    packages=() want_qemu=
    command -v gcc >/dev/null && [ -e /usr/include/stdio.h ] || packages+=(gcc libc6-dev)
    find_missing_for_python
    at_least "$(qemu_version)" "$newest_needed" || want_qemu=yes
    command -v qemu-img >/dev/null || want_qemu=yes
    if wants check && [ -n "$on_debian" ]; then # the boards of other architectures
        for name in aarch64 m68k riscv64; do
            command -v "qemu-system-$name" >/dev/null || want_qemu=yes
        done
    fi
    if [ -n "$on_debian" ]; then # guests; other systems have no package of them
        [ -e /boot/invaders.exec ] || packages+=(grub-invaders)
        compgen -G '/usr/lib/memtest86+/*x64*.iso' >/dev/null || packages+=(memtest86+)
    fi
    ! wants remote || command -v ip >/dev/null || packages+=(iproute2)
    ! wants desktop || find_missing_for_qt
    if wants text || wants test; then
        [ -e /usr/share/tesseract-ocr/5/tessdata/eng.traineddata ] ||
            [ -e /usr/share/tessdata/eng.traineddata ] || packages+=(tesseract-ocr-eng)
    fi
    ! wants check || find_missing_for_check
}
missing() { # print the missing packages in words
    echo "${packages[*]-}${want_qemu:+ QEMU >= $newest_needed with the D-Bus display}"
}

# End the script on a system whose packages it does not install.
advise() {
    local words qt="${qt_libraries[*]#*:}"
    case " $ID ${ID_LIKE:-} " in
    *" ubuntu "* | *" debian "*)
        words="sudo apt-get install gcc libc6-dev python3-dev python3-venv qemu-system-x86 qemu-system-modules-opengl qemu-utils grub-invaders"
        ! wants desktop || words+=" $qt"
        ! wants text || words+=" tesseract-ocr-eng"
        ! wants check || words+=" clang libclang-rt-dev spin g++ relacy-dev xvfb x11-apps xterm x11-xserver-utils xdotool xfonts-base openbox libxkbcommon-dev lld chromium strace zstd dbus at-spi2-core"
        [ "$ID" != debian ] || words+=" (Python >= 3.11 is not in releases before Debian 12)"
        ;;
    *" fedora "* | *" rhel "*) words="sudo dnf install gcc glibc-static python3-devel qemu-system-x86-core qemu-ui-dbus qemu-img clang compiler-rt libxkbcommon-devel" ;;
    *" arch "*) words="sudo pacman -S gcc python qemu-system-x86 qemu-ui-dbus qemu-img clang compiler-rt libxkbcommon" ;;
    *) words="a C compiler, Python >= 3.11 with its headers and venv, and QEMU >= $newest_needed for x86 with its D-Bus display (for the tests: clang with its sanitizers, a static libc, libxkbcommon with its headers)" ;;
    esac
    stop "this is ${PRETTY_NAME:-$ID}; packages are installed on Debian 12 and 13 only
setup: missing here: $(missing)
setup: install: $words
setup: then run this again; the demo's guest is Debian's package grub-invaders (/boot/invaders.exec)"
}
