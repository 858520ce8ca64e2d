package bookd

import (
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/readcache"
	"bookshelf/app/internal/telemetry"
)

// observePool adds the connection pool to the metrics.
func observePool(m *telemetry.Metrics, store *postgres.Store) {
	gauge := func(name, help string, kind telemetry.Kind, read func() float64) {
		m.Func("bookd_db_pool_"+name, help, kind, read)
	}
	gauge("max_connections", "Connections that the pool may open.", telemetry.Gauge,
		func() float64 { return float64(store.Pool().MaxConns()) })
	gauge("used_connections", "Connections in use.", telemetry.Gauge,
		func() float64 { return float64(store.Pool().AcquiredConns()) })
	gauge("idle_connections", "Open connections that are not in use.", telemetry.Gauge,
		func() float64 { return float64(store.Pool().IdleConns()) })
	gauge("acquires_total", "Connections taken from the pool.", telemetry.Counter,
		func() float64 { return float64(store.Pool().AcquireCount()) })
	gauge("waits_total", "Times that a connection had to be waited for.", telemetry.Counter,
		func() float64 { return float64(store.Pool().EmptyAcquireCount()) })
	gauge("wait_seconds_total", "Time spent on waiting for connections.", telemetry.Counter,
		func() float64 { return store.Pool().EmptyAcquireWaitTime().Seconds() })
	gauge("canceled_acquires_total", "Waits given up because the request ended.", telemetry.Counter,
		func() float64 { return float64(store.Pool().CanceledAcquireCount()) })
}

// observeCache adds the read cache to the metrics.
func observeCache(m *telemetry.Metrics, c *readcache.Cache) {
	add := func(name, help string, kind telemetry.Kind, read func(readcache.Stats) int64) {
		m.Func("bookd_read_cache_"+name, help, kind, func() float64 { return float64(read(c.Stats())) })
	}
	add("hits_total", "Look-ups of a book that were answered from memory.", telemetry.Counter,
		func(s readcache.Stats) int64 { return s.Hits })
	add("misses_total", "Look-ups of a book that was not in memory.", telemetry.Counter,
		func(s readcache.Stats) int64 { return s.Misses })
	add("bypasses_total", "Look-ups while the book was being changed, or while changes could not be heard of.", telemetry.Counter,
		func(s readcache.Stats) int64 { return s.Bypasses })
	add("invalidations_total", "Books whose change was heard of.", telemetry.Counter,
		func(s readcache.Stats) int64 { return s.Changes })
	add("clears_total", "Times that a change of many books was heard of.", telemetry.Counter,
		func(s readcache.Stats) int64 { return s.Clears })
	add("books", "Books in memory.", telemetry.Gauge, func(s readcache.Stats) int64 { return s.Entries })
	add("bytes", "About how much memory they take.", telemetry.Gauge, func(s readcache.Stats) int64 { return s.Bytes })
	add("following", "1 while changes are heard of, so that the memory may be used.", telemetry.Gauge,
		func(s readcache.Stats) int64 {
			if s.Following {
				return 1
			}
			return 0
		})
}
