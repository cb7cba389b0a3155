package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/backup"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

func backupCommand() *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Usage:     "copy events and keys to a new directory; the sidecar may run",
		ArgsUsage: "DIR",
		Description: "DIR must not exist; when it does, the backup in it is complete. It holds every\n" +
			"event that was acknowledged before the command began, and the keys of the data\n" +
			"directory, so keep it as safe as those. The sidecar may be running or not.\n\n" +
			"With PostgreSQL in HOOKSWITCH_STORE, the tables are written by pg_dump.\n\n" +
			"Never copy events.db by other means while the sidecar runs: the copy would be\n" +
			"damaged, or lack what was acknowledged last.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			dest, err := oneArgument(c, "a directory for the backup")
			if err != nil {
				return err
			}
			cfg, dir, err := dataDir(c)
			if err != nil {
				return err
			}
			m, err := backup.Source{
				Dir: dir, Keys: []string{keyfile.Forward, keyfile.Dev}, URL: cfg.DatabaseURL(),
				Version: version, Missing: notInBackup(cfg),
			}.Write(ctx, dest)
			if err != nil {
				return interrupted(ctx, err)
			}
			return show(c, m, func(w io.Writer) {
				fmt.Fprintf(w, "backed up to %s: %s\n", dest, contents(m))
				printFiles(w, m)
				for _, text := range m.Missing {
					fmt.Fprintf(w, "not in it: %s\n", text)
				}
			})
		},
	}
}

// notInBackup lists what the configuration keeps outside the data directory.
func notInBackup(cfg config.Config) []string {
	missing := []string{"the configuration, with TELNYX_PUBLIC_KEY and other secrets"}
	if cfg.ForwardKey != "" {
		missing = append(missing, "HOOKSWITCH_FORWARD_KEY, which signs forwarded requests: it is part of the configuration here")
	}
	return append(missing, "plugin programs, and which of them are disabled or rolled back")
}

func contents(m *backup.Manifest) string {
	if m.Store == "postgres" {
		return "the tables of the database"
	}
	return fmt.Sprintf("%d events", m.Events)
}

func printFiles(w io.Writer, m *backup.Manifest) {
	for _, f := range m.Files {
		fmt.Fprintf(w, "  %s\t%d bytes\n", f.Name, f.Size)
	}
}

// oneArgument returns the only argument of a command with an --output. It checks
// that flag too: before the work, not when the result is shown.
func oneArgument(c *cli.Command, what string) (string, error) {
	if c.Args().Len() != 1 || c.Args().First() == "" {
		return "", usageError("%s: give %s", c.FullName(), what)
	}
	return c.Args().First(), checkOutput(c)
}

// interrupted returns err, unless Ctrl-C is its cause.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
