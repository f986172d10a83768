#!/bin/sh
# The kernels and a transcription on 64-bit ARM, emulated by qemu: sh tools/aarch64.sh ROOT [TEST ...]
#
# ROOT becomes a Debian arm64 system (about 1 GB; it is kept, and used again). Needs root, git, pip, and the packages
# debootstrap, qemu-user-static and binfmt-support. The wheels are those that pip offers for aarch64, which this
# machine's pip unpacks there. Emulated, everything takes some 20 times as long, so that times mean nothing.
set -eu

if [ $# -eq 0 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 2
fi
ROOT=$1
shift
HERE=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -eq 0 ]; then
    set -- tests/kernels/ops tests/kernels/encoder/test_encode.py tests/kernels/decoder/test_step.py
fi

if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
    echo "Linux does not know yet that qemu runs programs for ARM: mount -t binfmt_misc none /proc/sys/fs/binfmt_misc," \
        "then update-binfmts --enable qemu-aarch64" >&2
    exit 1
fi
if [ ! -e "$ROOT/usr/bin/python3" ]; then
    debootstrap --arch=arm64 --variant=minbase --include=python3 bookworm "$ROOT" http://deb.debian.org/debian
fi
if [ ! -d "$ROOT/opt/wheels/numba" ]; then
    version=$(readlink "$ROOT/usr/bin/python3" | sed 's/^python//')
    python3 -m pip install --target "$ROOT/opt/wheels" --only-binary=:all: --implementation cp \
        --python-version "$version" --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_28_aarch64 numpy numba scipy soundfile sentencepiece pytest
fi
rm -rf "$ROOT/opt/s2t-np"
mkdir -p "$ROOT/opt/s2t-np"
(cd "$HERE" && git ls-files -z | xargs -0 tar -c) | tar -x -C "$ROOT/opt/s2t-np"

inside() {
    chroot "$ROOT" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root PYTHONPATH=/opt/wheels S2T_NP_CACHE_DIR=/root/kernels \
        sh -c 'cd /opt/s2t-np && exec nice -n 15 "$@"' sh "$@"
}

inside python3 -c 'from s2t_np_kernels import cpu; print(cpu.detect().description)'
heard=""
for way in "--backend numpy" "--backend numba" "--backend numba --dtype float16" "--backend numba --dtype int8"; do
    # shellcheck disable=SC2086 - several words
    text=$(inside python3 -m s2t_np transcribe $way --model digits s2t_np/recordings/two-nine-three-four-zero.flac)
    echo "$way: $text"
    heard="$heard$text;"
done
wanted="two nine three four zero;"
if [ "$heard" != "$wanted$wanted$wanted$wanted" ]; then
    echo "expected each time: $wanted" >&2
    exit 1
fi
inside python3 -m pytest -q -p no:cacheprovider "$@"
