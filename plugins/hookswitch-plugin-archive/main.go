// Command hookswitch-plugin-archive keeps every event that the sidecar receives
// in JSON Lines files: one line for each event, with exactly the bytes that
// were signed.
//
// Settings come from the environment. The sidecar passes on the variables that
// it is told to:
//
//	HOOKSWITCH_PLUGIN_ENV=HOOKSWITCH_ARCHIVE_DIR,HOOKSWITCH_ARCHIVE_MAX_SIZE
//
//	HOOKSWITCH_ARCHIVE_DIR       where the files are; "hookswitch-archive" in the plugins' working directory
//	HOOKSWITCH_ARCHIVE_MAX_SIZE  when a file is full, such as 500MiB; 64MiB
//
// The file that grows is events.jsonl. A full one is renamed after the time,
// events-20261102T222527.521000000Z.jsonl, and never touched again. Nothing
// is ever deleted. To read the bodies:
//
//	jq -r .body_base64 events.jsonl | base64 -d
//
// An event is acknowledged when its line is on disk. If the plugin or the
// machine dies before that, the event comes again, and may then be there
// twice: lines with the same key are the same event. A line that was cut by a
// crash is no JSON, and ends where the next one begins.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

func main() {
	var files *archive
	var mux webhook.Mux
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error { return files.handle(ctx, e) })
	sdk.Plugin{
		Name: "archive",
		Mux:  &mux,
		Configure: func(context.Context, []byte) error {
			dir := cmp.Or(os.Getenv("HOOKSWITCH_ARCHIVE_DIR"), "hookswitch-archive")
			maxSize, err := parseSize(cmp.Or(os.Getenv("HOOKSWITCH_ARCHIVE_MAX_SIZE"), "64MiB"))
			if err != nil {
				return fmt.Errorf("HOOKSWITCH_ARCHIVE_MAX_SIZE: %w", err)
			}
			files, err = openArchive(dir, maxSize)
			return err
		},
	}.Serve()
	if files == nil {
		return // stopped before it was configured
	}
	if err := files.close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the archive:", err)
	}
}
