# What up and down share. Sourced with $here set to this directory.

data=${TOLLGATE_LOCAL_DATA:-$here/data}
# The same folder is the same text, from wherever it is named.
if [ -d "$data" ]; then data=$(cd "$data" && pwd -P); fi

# Prints the process of node $1, if up has started it and it still runs: its number may be another program's by now.
running() {
    [ -s "$data/$1.pid" ] || return 1
    pid=$(cat "$data/$1.pid")
    command=$( (tr '\0' ' ' <"/proc/$pid/cmdline") 2>/dev/null) || return 1
    case "$command" in
        *" serve --node $1 "*" --data $data/$1 ") echo "$pid" ;;
        *) return 1 ;;
    esac
}
