#!/bin/sh
# usage: isa_symbols.sh NM OBJECT...
# The linker keeps one copy of a weak symbol for the whole program. So an object compiled for an instruction
# set may hold none but those named after the set's own type: its copy of any other could reach processors
# without the set. DW.ref.* are the compiler's own references to the exception personality: data, no code.
nm=$1
shift
checked=0
failed=0
for object in "$@"; do
    case $object in
        *_avx512_bf16.cpp.o) type=Avx512Bf16 ;;
        *_avx512.cpp.o) type=Avx512 ;;
        *_avx2.cpp.o) type=Avx2 ;;
        *) continue ;;
    esac
    checked=$((checked + 1))
    symbols=$("$nm" -C --defined-only "$object") || exit 1
    leaked=$(printf '%s\n' "$symbols" | grep ' [WVu] ' | grep -v ' V DW\.ref\.' |
        grep -vE "\\b$type(Dot)?\\b")
    if [ -n "$leaked" ]; then
        printf '%s shares with every processor:\n%s\n' "$object" "$leaked"
        failed=1
    fi
done
if [ "$checked" -eq 0 ]; then
    echo "no object of an instruction set among $# files"
    exit 1
fi
echo "$checked objects checked"
exit $failed
