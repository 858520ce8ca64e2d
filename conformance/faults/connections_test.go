package faults

import (
	"fmt"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

// TestTakenConnectionsAreRefusalsUntilTheyAreFree lets others take every connection that the database allows, and cuts those of the service.
func TestTakenConnectionsAreRefusalsUntilTheyAreFree(t *testing.T) {
	t.Parallel()
	s := newStack(t, shape{settings: []string{"max_connections=20"}})
	l := s.load()
	// Each of them tries again until it has one, and keeps it.
	const others = `export PGPASSWORD=$(cat /run/secrets/password); for n in $(seq 20); do (until [ -e /tmp/enough ] ||
		psql --no-psqlrc --quiet --host 127.0.0.1 --username bookshelf_owner bookshelf -c 'SELECT pg_sleep(3600)'
		do sleep 0.1; done) & done; wait`
	s.suffer(l, fault{
		name: "others take all connections", seen: everybody, down: true,
		inject: func() {
			s.docker("exec", "--detach", s.db, "bash", "-c", others)
			s.docker("exec", "--detach", "--user", "postgres", s.db, "psql", "--no-psqlrc", "--quiet",
				"--command", cutUntilOthersHaveAll, "--command", "SET application_name = 'holder'; SELECT pg_sleep(3600)")
			engine.Eventually(t, "others have all of them", func() string {
				if out := s.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder'"); out != "1" {
					return out
				}
				return ""
			})
		},
		mend: func() time.Time {
			s.docker("exec", s.db, "touch", "/tmp/enough")
			s.cut("bookshelf_owner")
			s.release()
			return time.Now()
		},
	})
	s.settle(l, "no connections")
}

// cutUntilOthersHaveAll ends the sessions of the service until others have what there is: of 20, the three that are kept for superusers
// and this session aside. It has to stay, or its place is free for the service.
const cutUntilOthersHaveAll = `DO $$
	BEGIN
		LOOP
			PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bookshelf_app_a';
			EXIT WHEN NOT FOUND AND (SELECT count(*) FROM pg_stat_activity WHERE usename = 'bookshelf_owner') >= 16;
			PERFORM pg_sleep(0.1), pg_stat_clear_snapshot();
		END LOOP;
	END $$`

// cut ends all sessions of a role.
func (s *stack) cut(role string) {
	s.t.Helper()
	s.psql("postgres", fmt.Sprintf("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '%s'", role))
}

// release ends the session that holds something for a test.
func (s *stack) release() {
	s.t.Helper()
	s.psql("postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'holder'")
}

// TestALockedTableUsesUpThePoolAndIsOverWithTheLock keeps every statement waiting, and with them every connection of the service's own pool.
func TestALockedTableUsesUpThePoolAndIsOverWithTheLock(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{})
	l := s.load()
	s.suffer(l, fault{
		// Whether it says that it is ready is left to chance: that takes a connection, and one is free now and then.
		name: "the service's own pool is used up", seen: everybody,
		inject: func() {
			s.docker("exec", "--detach", "--user", "postgres", s.db, "psql", "--no-psqlrc", "--quiet", "bookshelf", "--command",
				"BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE; SET application_name = 'holder'; SELECT pg_sleep(3600)")
		},
		mend: func() time.Time {
			s.release()
			return time.Now()
		},
	})
	s.settle(l, "locked table")
}

// TestASmallPoolMakesClientsWaitAndRefusesNobody has far fewer connections than clients: they wait a moment, and nobody is refused.
func TestASmallPoolMakesClientsWaitAndRefusesNobody(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{service: []string{"DB_MAX_CONNS=1"}})
	l := s.load()
	s.suffer(l, fault{name: "one connection for all", inject: func() {}, mend: time.Now})
	if waits := s.metric("bookd_db_pool_waits_total"); waits == 0 {
		t.Error("nobody had to wait")
	}
	s.settle(l, "one connection")
}
