# Shared by tools/* and .ci/run; sourced by bash, never run.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() {
    printf '==> %s\n' "$*"
}

# For what belongs to the line before it.
detail() {
    printf '    %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# configure DIR [MESON OPTION…]: makes the build directory, or brings its options up to date.
configure() {
    local dir=$1 log=$1.log
    shift
    if [ -f "$dir/build.ninja" ]; then
        set -- meson configure "$dir" "$@"
        [ $# -gt 3 ] || return 0
    else
        set -- meson setup "$dir" "$top" "$@"
    fi
    "$@" >"$log" 2>&1 && rm -f "$log" && return 0
    cat "$log" >&2
    rm -f "$log"
    return 1
}

# compile DIR: quiet when all is well, the compiler's words when not.
compile() {
    local log=$1/compile.log
    if ! ninja -C "$1" >"$log" 2>&1; then
        grep -v '^\[[0-9]*/[0-9]*\]' "$log" >&2 || cat "$log" >&2
        return 1
    fi
    # Warnings of a build that succeeds are still worth seeing.
    grep -v '^\[' "$log" | grep -A6 'warning:' >&2 || true
}
