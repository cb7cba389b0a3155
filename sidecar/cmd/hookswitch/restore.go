package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/backup"
)

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "restore a backup to the data directory of a stopped sidecar",
		ArgsUsage: "DIR",
		Description: "Checks the backup, every page of its database included, before it changes\n" +
			"anything. Events pending when the backup was made are delivered again at the\n" +
			"next start; later events are not in it.\n\n" +
			"With PostgreSQL in HOOKSWITCH_STORE, the tables are created by pg_restore in a\n" +
			"database that has none yet.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "replace", Usage: "move existing files to before-restore-TIME in the data directory"},
			outputFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			from, err := oneArgument(c, "the directory of a backup")
			if err != nil {
				return err
			}
			cfg, dir, err := dataDir(c)
			if err != nil {
				return err
			}
			r, err := backup.Target{Dir: dir, URL: cfg.DatabaseURL(), Replace: c.Bool("replace")}.Restore(ctx, from)
			if err != nil {
				return interrupted(ctx, err)
			}
			return show(c, map[string]any{"data_dir": dir, "aside": r.Aside, "backup": r.Manifest}, func(w io.Writer) {
				fmt.Fprintf(w, "restored to %s: %s, of %s\n", dir, contents(r.Manifest), r.Manifest.CreatedAt.Local().Format("2006-01-02 15:04:05"))
				printFiles(w, r.Manifest)
				if r.Aside != "" {
					fmt.Fprintf(w, "the files from before are in %s\n", r.Aside)
				}
				for _, text := range r.Manifest.Missing {
					fmt.Fprintf(w, "not in it: %s\n", text)
				}
			})
		},
	}
}
