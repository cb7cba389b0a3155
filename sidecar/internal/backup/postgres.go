package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// dumpFile is the copy of a PostgreSQL store, in pg_dump's custom format.
const dumpFile = "events.dump"

// dump has pg_dump write the store's tables to file. It reads one snapshot while
// sidecars keep working.
func dump(ctx context.Context, database, file string) error {
	err := program(ctx, database, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--table=hookswitch_*", "--file="+file)
	if err != nil {
		return fmt.Errorf("back up the database: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0) // pg_dump syncs only since version 10, and may be told not to
	if err != nil {
		return fmt.Errorf("back up the database: %w", err)
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
}

// load has pg_restore create the tables of a dump, all or none: existing ones
// are an error.
func load(ctx context.Context, database, file string) error {
	err := program(ctx, database, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", file)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "already exists") {
		err = fmt.Errorf("%w: the database has a store already, which is never overwritten: name an empty database", err)
	}
	return fmt.Errorf("restore the database: %w", err)
}

// program runs one of PostgreSQL's own programs on a database. It passes the
// password in the environment, since everybody can read arguments.
func program(ctx context.Context, database, name string, args ...string) error {
	conn, password, err := connection(database)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s is not installed: install PostgreSQL's client programs of the server's version or newer (Debian: postgresql-client), or back the database up by its own means and keep the keys beside it", name)
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"--no-password", "--dbname=" + conn}, args...)...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	if password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text := strings.TrimSpace(out.String())
		if password != "" {
			text = strings.ReplaceAll(text, password, "…")
		}
		return fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return nil
}

// poolOnly lists parameters of the sidecar's driver that libpq refuses.
var poolOnly = []string{"default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity"}

// connection returns a URL as libpq takes it, without the password.
func connection(database string) (conn, password string, err error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", "", errors.New("the database URL cannot be read") // the error of url would show it
	}
	q := u.Query()
	password = q.Get("password")
	if p, ok := u.User.Password(); ok {
		password = p
		u.User = url.User(u.User.Username())
	}
	q.Del("password")
	for name := range q {
		if strings.HasPrefix(name, "pool_") {
			q.Del(name)
		}
	}
	for _, name := range poolOnly {
		q.Del(name)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // libpq does not read + as a space
	return u.String(), password, nil
}
