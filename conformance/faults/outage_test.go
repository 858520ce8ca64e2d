package faults

import (
	"fmt"
	"testing"
	"time"
)

// kill ends every process of the database at once, as the kernel does when memory runs out, and what returns starts it again. The page
// cache survives: this tries PostgreSQL's recovery and the service, not the disk.
func (s *stack) kill(name string) fault {
	return fault{
		name: name, seen: everybody, down: true,
		inject: func() { s.docker("kill", "--signal", "KILL", s.db) },
		mend: func() time.Time {
			s.docker("start", s.db)
			s.untilDatabase()
			return s.opened()
		},
	}
}

// TestAKilledDatabaseHasEveryAcknowledgedWrite kills the whole database under write load, and then one of its sessions, after which
// PostgreSQL ends all others and recovers.
func TestAKilledDatabaseHasEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	s := newStack(t, shape{})
	l := s.load()
	kills := 1
	if full() {
		kills = 3
	}
	for n := range kills {
		s.suffer(l, s.kill(fmt.Sprintf("kill -9 of the database, %d", n+1)))
	}
	s.suffer(l, fault{
		name: "kill -9 of one session",
		inject: func() {
			pid := s.psql("bookshelf", "SELECT pid FROM pg_stat_activity WHERE usename = 'bookshelf_app_a' LIMIT 1")
			s.docker("exec", "--user", "root", s.db, "kill", "-9", pid)
		},
		seen: func(c counts) bool { return c.reads[later]+c.writes[later] > 0 },
		mend: func() time.Time {
			s.untilDatabase()
			return s.opened()
		},
	})
	s.settle(l, "kill -9")
}

// TestAPausedDatabaseCostsTimeOutsAndNothingElse stops every process of the database without ending one: connections stay, nothing answers.
func TestAPausedDatabaseCostsTimeOutsAndNothingElse(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{})
	l := s.load()
	s.suffer(l, fault{
		name: "the database is paused", seen: everybody, down: true,
		inject: func() { s.docker("pause", s.db) },
		mend: func() time.Time {
			s.docker("unpause", s.db)
			return time.Now()
		},
	})
	s.settle(l, "paused")
}

// TestABrokenNetworkHealsByItself takes the database off the network: packets go nowhere, and its name is gone.
func TestABrokenNetworkHealsByItself(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{})
	l := s.load()
	s.suffer(l, fault{
		name: "no network to the database", seen: everybody, down: true,
		inject: func() { s.docker("network", "disconnect", s.name, s.db) },
		mend: func() time.Time {
			s.docker("network", "connect", s.name, s.db)
			return time.Now()
		},
	})
	s.settle(l, "no network")
}

// TestALostWriteIsSeen is the trial of the others: a database that acknowledges before it has written, and is killed, must be found out.
func TestALostWriteIsSeen(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{settings: []string{"synchronous_commit=off", "wal_writer_delay=10s"}})
	s.psql("postgres", "CHECKPOINT") // or the schema is lost as well
	l := s.load()
	killed := s.kill("")
	killed.inject()
	killed.mend()
	if acknowledged, stored := s.compare(l); stored == acknowledged {
		t.Errorf("nothing is missed of %v", acknowledged)
	} else {
		t.Logf("acknowledged were %v, in the database are %v", acknowledged, stored)
	}
}
