package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bookshelf/infra/environment"
)

// dump writes the database to a file in pg_dump's custom format. It appears whole or not at all.
func (t *target) dump(ctx context.Context, path string) error {
	partial := filepath.Base(path) + ".partial"
	file, err := t.create(partial)
	if err != nil {
		return err
	}
	err = t.database(ctx, "pg_dump", []string{"--format=custom", "--dbname=" + environment.Project}, nil, file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("dump the database: %w", err), os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), path)
}

// query runs a statement and returns the first column of its rows.
func (s *session) query(ctx context.Context, statement string) ([]string, error) {
	var out bytes.Buffer
	err := s.database(ctx, "psql", []string{
		"--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname=" + environment.Project,
	}, strings.NewReader(statement), &out)
	if err != nil {
		return nil, err
	}
	return strings.Fields(out.String()), nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	const most = 2000
	if room := most - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
