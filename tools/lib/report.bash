# Messages and long steps of tools/setup. Sourced; needs $log and $root.
#
# A step keeps its output in $log. On a terminal one line shows the seconds and the newest line of
# the output; elsewhere a plain line appears every 30 seconds.

say() { printf '%s\n' "setup: $*"; }
stop() {
    printf '%s\n' "setup: $*" >&2
    exit 1
}

ticker=
# Ends with the script, also if that was killed: the terminal then belongs to another program.
tick() { # WORDS
    local begun=$SECONDS took newest columns
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        took=$((SECONDS - begun))
        if [ -t 1 ]; then
            newest=$(tail -c 400 "$log" | tr '\r' '\n' | grep . | tail -n 1 | LC_ALL=C tr -cd '[:print:]') || newest=
            newest="setup: $1: $took s  $newest"
            columns=$(stty size 2>/dev/null </dev/tty | cut -d ' ' -f 2) || columns=80
            [ "${columns:-0}" -gt 0 ] || columns=80 # a serial console has no size
            printf '\r\033[K%s' "${newest:0:$((columns - 1))}"
        elif [ $((took % 30)) = 0 ]; then
            say "$1: $took s"
        fi
    done
}
end_tick() {
    [ -n "$ticker" ] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    [ ! -t 1 ] || printf '\r\033[K'
}

# attempt WORDS COMMAND...: run a step; its status is the command's.
attempt() {
    local words=$1 begun=$SECONDS status=0
    shift
    say "$words"
    printf '\n== %s\n' "$words" >>"$log"
    attempt_start=$(($(wc -c <"$log") + 1))
    tick "$words" &
    ticker=$!
    # In the foreground, so that Ctrl+C reaches it.
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    end_tick
    [ $((SECONDS - begun)) -lt 5 ] || say "$words: done in $((SECONDS - begun)) s"
    return "$status"
}
attempt_output() { tail -c "+$attempt_start" "$log"; }

# Print the network error of the newest step; nothing without one.
network_fault() {
    attempt_output | grep -m 1 -E -o -e "Temporary failure resolving '[^']*'" -e 'Could not resolve .*' \
        -e 'Could not connect to .*' -e 'Unable to connect to .*' -e 'Cannot initiate the connection.*' \
        -e 'Connection timed out.*' -e 'Connection failed.*' -e 'Network is unreachable.*' \
        -e 'Failed to establish a new connection: .*' -e 'Failed to resolve .*' \
        -e 'Unable to connect to proxy.*' -e 'Connection to .* timed out' -e 'Read timed out.*' || true
}

# step WORDS COMMAND...: run a step; end the script if it fails.
step() {
    local fault
    attempt "$@" && return
    fault=$(network_fault)
    if [ -n "$fault" ]; then
        stop "failed: $1: no answer from the network ($fault)
setup: check the connection, or the proxy settings of apt and pip; then run this again (log: build/setup.log)"
    fi
    attempt_output | tail -n 30 >&2
    stop "failed: $1 (log: build/setup.log)"
}
