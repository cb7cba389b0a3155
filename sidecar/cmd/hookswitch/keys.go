package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// keysCommand prints public keys. The secret halves never leave their files.
func keysCommand() *cli.Command {
	export := &cli.BoolFlag{Name: "export", Usage: "print a line for the shell: export TELNYX_PUBLIC_KEY=…"}
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORM`: text or json"}
	show := func(name, file, usage string, load func(*config.Config, string) (ed25519.PrivateKey, error)) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Flags: []cli.Flag{export, output},
			Action: func(_ context.Context, c *cli.Command) error {
				cfg, dir, err := sidecarDir(c)
				if err != nil {
					return err
				}
				key, err := loadKey(c, dir, file, func() (ed25519.PrivateKey, error) { return load(&cfg, dir) })
				if err != nil {
					return err
				}
				if form, err := outputForm(c, "text", "json"); err != nil {
					return err
				} else if form == "json" {
					return json.NewEncoder(c.Writer).Encode(map[string]string{"name": name, "public_key": keyfile.PublicText(key)})
				}
				if c.Bool("export") {
					fmt.Fprint(c.Writer, "export TELNYX_PUBLIC_KEY=")
				}
				fmt.Fprintln(c.Writer, keyfile.PublicText(key))
				return nil
			},
		}
	}
	return &cli.Command{
		Name:  "keys",
		Usage: "print public keys of the data directory, made if needed",
		Commands: []*cli.Command{
			show("forward", keyfile.Forward, "the key that the app behind the sidecar verifies with", (*config.Config).LoadForwardKey),
			show("dev", keyfile.Dev, "the key of \"hookswitch trigger\", for a receiver of your own",
				func(_ *config.Config, dir string) (ed25519.PrivateKey, error) {
					return keyfile.Load(dir, keyfile.Dev)
				}),
		},
	}
}
