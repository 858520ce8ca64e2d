package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/load"
)

// database is a PostgreSQL server of the benchmark's own, reached through a Unix socket only. Its settings are the
// defaults: commits are flushed to the disk.
type database struct {
	bin, dir string // of the programs; of the data and the socket
	server   *exec.Cmd
	owner    *syscall.Credential // whom it runs as; nil for whoever runs this
}

const (
	databaseName = "bench"
	ownerRole    = "bench_owner"
	servingRole  = "bench_server"
)

// findPostgres returns the folder of PostgreSQL's programs: that of initdb on the PATH, or Debian's newest.
func findPostgres() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(folders, func(a, b string) int { return debianVersion(b) - debianVersion(a) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			folders = append([]string{filepath.Dir(initdb)}, folders...)
		}
	}
	for _, folder := range folders {
		missing := slices.ContainsFunc([]string{"initdb", "postgres", "pgbench", "psql"}, func(name string) bool {
			_, err := os.Stat(filepath.Join(folder, name))
			return err != nil
		})
		if !missing {
			return folder, nil
		}
	}
	return "", errors.New("initdb, postgres, pgbench and psql are needed, in one folder: install PostgreSQL 15 or later " +
		"(Debian: apt-get install postgresql), or put its folder of programs on the PATH")
}

func debianVersion(folder string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	return version
}

// startDatabase makes a cluster below dir and waits until it answers. The cluster is gone with the folder.
func startDatabase(ctx context.Context, dir string) (*database, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	d := &database{bin: bin, dir: filepath.Join(dir, "pg")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, err
	}
	if err := d.chooseOwner(dir); err != nil {
		return nil, err
	}
	data := filepath.Join(d.dir, "data")
	if _, err := d.program(ctx, "", "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	// Not by the context, which would kill it: stop asks it to end.
	d.server = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", d.dir, "-c", "listen_addresses=")
	d.server.SysProcAttr = d.attributes()
	if err := d.server.Start(); err != nil {
		return nil, err
	}
	for {
		_, err := d.psql(ctx, "postgres", "SELECT 1")
		if err == nil {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), d.stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// chooseOwner is for root, whom PostgreSQL refuses to run as.
func (d *database) chooseOwner(parent string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errU, errG); err != nil {
			return err
		}
		d.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return errors.Join(os.Chmod(parent, 0o755), os.Chmod(d.dir, 0o755), os.Chown(d.dir, int(uid), int(gid)))
	}
	return errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// attributes put the program into a group of its own, so that Ctrl-C reaches only this one, which then ends the others.
func (d *database) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: d.owner}
}

// program runs one of PostgreSQL's programs with what it reads from standard input, and returns what it prints.
func (d *database) program(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...)
	cmd.SysProcAttr = d.attributes()
	cmd.Dir = d.dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PGHOST="+d.dir, "PGUSER=postgres", "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, command.Tail(stderr.String(), 5))
	}
	return string(out), nil
}

func (d *database) psql(ctx context.Context, name, sql string) (string, error) {
	return d.program(ctx, sql, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", name)
}

// create makes the database and its roles, as the service's own migrations expect them.
func (d *database) create(ctx context.Context) error {
	_, err := d.psql(ctx, "postgres", `
		CREATE ROLE `+ownerRole+` LOGIN;
		CREATE ROLE `+servingRole+` LOGIN;
		CREATE ROLE `+databaseName+`_app NOLOGIN ROLE `+servingRole+`;
		CREATE DATABASE `+databaseName+` OWNER `+ownerRole+`;`)
	return err
}

// fill stores so many books.
func (d *database) fill(ctx context.Context, books int) error {
	_, err := d.psql(ctx, databaseName, fmt.Sprintf(`
		INSERT INTO books (title, authors, published_year, language, description)
		SELECT 'Volume ' || i || ' of word' || i %% %d, ARRAY['Some Body', 'Another One'], 1900 + i %% 120, 'en', '%s'
		FROM generate_series(1, %d) AS i;`, load.Words(books), load.Description, books))
	if err == nil {
		_, err = d.psql(ctx, databaseName, `VACUUM ANALYZE; CHECKPOINT`)
	}
	return err
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbench runs a script as the serving role and returns its transactions per second.
func (d *database) pgbench(ctx context.Context, script string, connections, seconds, books int) (float64, error) {
	out, err := d.program(ctx, script, "pgbench", "-n", "-M", "prepared", "-U", servingRole, "-f", "-",
		"-D", "books="+strconv.Itoa(books), "-c", strconv.Itoa(connections), "-j", "2", "-T", strconv.Itoa(seconds), databaseName)
	if err != nil {
		return 0, err
	}
	match := tps.FindStringSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("pgbench printed no rate: %s", command.Tail(out, 5))
	}
	return strconv.ParseFloat(match[1], 64)
}

// stop asks for a fast shutdown and waits.
func (d *database) stop() error {
	if err := d.server.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if err := d.server.Wait(); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}
