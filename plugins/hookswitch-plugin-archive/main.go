// Command hookswitch-plugin-archive keeps every event that the sidecar receives
// in JSON Lines files: one line for each event, with exactly the bytes that
// were signed.
//
// It needs no settings. archive.json beside it may have:
//
//	{
//	  "dir":      "hookswitch-archive", // where the files are; relative to the plugins' working directory
//	  "max_size": "64MiB"               // when a file is full
//	}
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
// crash is not JSON, and ends where the next one begins.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

type settings struct {
	Dir     string `json:"dir" default:"hookswitch-archive" desc:"where the files are"`
	MaxSize size   `json:"max_size" default:"64MiB" desc:"when a file is full, such as 500MiB"`
}

func main() {
	var files *archive
	var mux webhook.Mux
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error { return files.handle(ctx, e) })
	sdk.Plugin{
		Name: "archive",
		Mux:  &mux,
		Configure: sdk.Settings(func(_ context.Context, s *settings) (err error) {
			files, err = openArchive(s.Dir, int64(s.MaxSize))
			return err
		}),
	}.Serve()
	if files == nil {
		return // stopped before it was configured
	}
	if err := files.close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the archive:", err)
	}
}
