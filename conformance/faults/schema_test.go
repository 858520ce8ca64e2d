package faults

import (
	"net/http"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

// TestASchemaOfALaterVersionServesTheVersionBefore is a release that was taken back: its migration has run, and the version before serves.
func TestASchemaOfALaterVersionServesTheVersionBefore(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{})
	l := s.load()
	const version = "SELECT max(version_id) FROM goose_db_version WHERE is_applied"
	before := s.psql("bookshelf", version)
	s.suffer(l, fault{
		name: "a schema of a later version",
		inject: func() {
			s.psql("bookshelf", `SET ROLE bookshelf_owner; BEGIN; SET LOCAL lock_timeout = '10s';
				ALTER TABLE books ADD COLUMN shelf text; CREATE INDEX books_shelf_idx ON books (shelf); CREATE TABLE shelves (name text PRIMARY KEY);
				INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version; COMMIT`)
		},
		mend: time.Now, // it stays
	})
	s.settle(l, "later schema")

	after := s.psql("bookshelf", version)
	if after == before {
		t.Fatalf("the schema has still version %s", before)
	}
	s.docker(append(s.run("bookshelf_owner", "--rm"), s.image, "migrate")...)
	if still := s.psql("bookshelf", version); still != after {
		t.Errorf("migrating with the version before made version %s of %s", still, after)
	}
	s.docker("restart", s.app)
	s.api = "http://" + engine.Address(t, s.app, "8080/tcp")
	engine.WaitHealthy(t, s.app)
	for _, path := range []string{"/readyz", "/api/v1/books?limit=5"} {
		if status, body, _ := s.get(s.api + path); status != http.StatusOK {
			t.Errorf("%s of a service that starts on a later schema: %d %s", path, status, body)
		}
	}

	// The other way round it must say so: what it needs is not there.
	s.psql("bookshelf", "DELETE FROM goose_db_version WHERE version_id >= "+before)
	s.wantAliveNotReady()
}
