# packages: bash
declare -A map=([one]=1 [two]=2)
echo "${!map[@]}" | tr ' ' '\n' | sort | tr '\n' ' '; echo
fib() { if (( $1 < 2 )); then echo "$1"; else echo $(( $(fib $(( $1 - 1 ))) + $(fib $(( $1 - 2 ))) )); fi; }
fib 9
trap 'echo "caught USR1"' USR1
kill -USR1 $$
( sleep 5 & pid=$!; kill "$pid"; wait "$pid"; echo "child ended with $?" )
echo one two three | { read -r a b; echo "$b $a"; }
diff <(printf 'a\nb\n') <(printf 'a\nc\n')
coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; kill "$COPROC_PID"; wait "$COPROC_PID" 2> /dev/null
pids=(); for i in {1..40}; do (exit "$i") & pids+=($!); done; status=0
for pid in "${pids[@]}"; do wait "$pid"; (( status += $? )); done; echo "$status"
printf '%(%Y)T\n' 0
{ bash -c 'kill -SEGV $$'; status=$?; } 2> /dev/null; echo "segv $status"
exec 3<> fifo.txt; echo data >&3; cat fifo.txt
ulimit -n; ulimit -s
[[ "abc123" =~ ^([a-z]+)([0-9]+)$ ]] && echo "${BASH_REMATCH[2]}"
mapfile -t lines < <(seq 5); echo "${lines[@]: -2}"
