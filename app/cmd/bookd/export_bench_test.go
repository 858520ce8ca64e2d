package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"bookshelf/app/internal/postgres/pgtest"
)

// BenchmarkExport measures the most memory that a process ever held which exports a large catalogue, and how fast it is.
// BOOKSHELF_BENCH_BOOKS is the number of books, a million when it is not set:
//
//	go test -run '^$' -bench Export -benchtime 1x ./cmd/bookd
func BenchmarkExport(b *testing.B) {
	books := 1_000_000
	if text, ok := os.LookupEnv("BOOKSHELF_BENCH_BOOKS"); ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatalf("BOOKSHELF_BENCH_BOOKS: %v", err)
		}
		books = n
	}
	db := pgtest.New(b)
	conn := db.Conn(b, db.Superuser)
	for _, sql := range []string{
		"SET session_replication_role = replica", // without the search's trigger, which would take most of the time
		fmt.Sprintf(`INSERT INTO books (title, authors, published_year, language, description)
			SELECT 'Volume ' || i || ' ' || md5(i::text), ARRAY['Author ' || i %% 5000, 'Second Author'], i %% 2000, 'en',
				repeat(md5(i::text) || ' ', 1 + i %% 10)
			FROM generate_series(1, %d) AS i`, books),
		"VACUUM ANALYZE books",
	} {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	for _, format := range []string{"csv", "jsonl"} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				server := newInstance(b, db)
				idle := peakRSS(b, server.cmd.Process.Pid)
				began := time.Now()
				res, err := http.Get(server.url + "/api/v1/books/export?format=" + format)
				if err != nil {
					b.Fatal(err)
				}
				lines := &lineCounter{}
				size, err := io.Copy(lines, res.Body)
				if err != nil {
					b.Fatal(err)
				}
				if err := res.Body.Close(); err != nil {
					b.Fatal(err)
				}
				if lines.n < books {
					b.Fatalf("%d lines of %d books", lines.n, books)
				}
				seconds := time.Since(began).Seconds()
				b.ReportMetric(peakRSS(b, server.cmd.Process.Pid), "peak-MiB")
				b.ReportMetric(idle, "idle-MiB")
				b.ReportMetric(float64(books)/seconds, "books/s")
				b.ReportMetric(float64(size)/seconds/(1<<20), "MiB/s")
			}
		})
	}
}

// lineCounter counts what it is given, without keeping it.
type lineCounter struct {
	n int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.n++
		}
	}
	return len(p), nil
}

// peakRSS is the most memory in MiB that a process has held, as Linux tells.
func peakRSS(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("only Linux tells: %v", err)
	}
	m := regexp.MustCompile(`VmHWM:\s*([0-9]+) kB`).FindSubmatch(status)
	if m == nil {
		b.Fatalf("VmHWM is missing in:\n%s", status)
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
