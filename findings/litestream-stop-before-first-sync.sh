#!/usr/bin/env bash
# Litestream 0.5.18: "replicate" that is told to stop before its first copy exits
# 0 and has copied nothing, though the database was there with rows in it all the
# time. Told to stop after its first copy, it copies once more before it ends.
#
# We expected the last copy at shutdown in both cases, since Litestream says
# "initialized db" and "replicating to" first. Whoever runs it for the length of a
# job (start, work for half a second, stop) has no replica and no error.
#
# Seen:
#   stopped early: exit 0, restore says: no matching backup files available
#   stopped later: exit 0, restored rows: 2
#
# Needs Go and network access for the modules; about five minutes the first time.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
GOBIN="$dir/bin" GOFLAGS=-mod=mod go install github.com/benbjohnson/litestream/cmd/litestream@v0.5.18 2>install.log || { cat install.log; exit 2; }

mkdir rows && cd rows
cat >main.go <<'GO'
// Command rows opens a database in WAL mode, adds a row and prints how many
// there are.
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "modernc.org/sqlite"
)

func main() {
	db, err := sql.Open("sqlite", "file:"+os.Args[1]+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 2 {
		if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY); INSERT INTO calls DEFAULT VALUES`); err != nil {
			panic(err)
		}
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM calls`).Scan(&n); err != nil {
		panic(err)
	}
	fmt.Println(n)
	db.Close()
}
GO
go mod init example.com/rows >/dev/null 2>&1
go get modernc.org/sqlite@v1.60.0 >/dev/null 2>&1
go build -o ../bin/rows . && cd ..

# copies DIR FIRST: replicates until told to stop, at once or after the first copy.
copies() {
	mkdir "$1"
	bin/rows "$1/calls.db" add >/dev/null
	bin/litestream replicate "$1/calls.db" "file://$dir/$1/replica" >"$1/log" 2>&1 &
	local pid=$!
	until grep -q 'replicating to' "$1/log"; do :; done
	if [ "$2" = after ]; then
		until compgen -G "$1/replica/ltx/0/*.ltx" >/dev/null; do sleep 0.1; done
		bin/rows "$1/calls.db" add >/dev/null
	fi
	kill -INT "$pid"
	local code=0
	wait "$pid" || code=$?
	if bin/litestream restore -o "$1/back.db" "file://$dir/$1/replica" >"$1/restore" 2>&1; then
		echo "exit $code, restored rows: $(bin/rows "$1/back.db")"
	else
		echo "exit $code, restore says: $(sed -n 's/^Error: //p' "$1/restore")"
	fi
}

early=$(copies early before)
later=$(copies later after)
echo "stopped early: $early"
echo "stopped later: $later"
[ "$early" = "exit 0, restore says: no matching backup files available" ] &&
	[ "$later" = "exit 0, restored rows: 2" ]
