package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

func logsOfPlugin() *cli.Command {
	flags := []cli.Flag{
		&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 100, Usage: "begin with the last `N` lines"},
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "then print new lines as they come"},
		outputFlag(),
	}
	return command("logs", "print a plugin's output and the sidecar's log of it", "NAME", flags,
		func(ctx context.Context, c *cli.Command, api *client) error {
			name, err := onePlugin(c)
			if err != nil {
				return err
			}
			if c.Int("lines") < 0 {
				return usageError("--lines: give a number of 0 or more")
			}
			query := url.Values{"lines": {strconv.Itoa(c.Int("lines"))}}
			if c.Bool("follow") {
				query.Set("follow", "1")
			}
			path := "/plugins/" + url.PathEscape(name) + "/logs"
			if form, err := outputForm(c, "table", "json", "jsonl"); err != nil {
				return err
			} else if form != "table" {
				return copyTo(ctx, api, c.Writer, path, query)
			}
			res, err := api.do(ctx, http.MethodGet, path, query, nil)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			lines := bufio.NewReader(res.Body)
			for {
				text, err := lines.ReadBytes('\n')
				if len(text) > 0 {
					fmt.Fprintln(c.Writer, logText(text))
				}
				switch {
				case err == io.EOF, err != nil && ctx.Err() != nil:
					return nil
				case err != nil:
					return fmt.Errorf("the sidecar's answer broke off: %w", err)
				}
			}
		})
}

// logText writes a line of a plugin's log for people.
func logText(text []byte) string {
	var l pluginhost.LogLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // ids of 19 digits are not floats
	if dec.Decode(&l) != nil {
		return strings.TrimSpace(string(text))
	}
	message, attrs, more := newEntry(l.Message, l.Attrs, "plugin").text()
	return fmt.Sprintf("%s %-5s %s%s", l.Time.Local().Format("15:04:05.000"), oneLine(l.Level), message, attrs) + indented("      ", nil, more)
}
