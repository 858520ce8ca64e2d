package bookd

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/config"
	"bookshelf/app/internal/postgres/pgtest"
)

// metric returns what the process says of itself.
func metric(t *testing.T, p *process, name string) string {
	t.Helper()
	_, _, body := call(t, "GET", p.admin+"/metrics", "")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("there is no metric %s", name)
	return ""
}

// await waits until a metric has a value.
func await(t *testing.T, p *process, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); metric(t, p, name) != want; {
		time.Sleep(time.Millisecond) //nolint:forbidigo // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("%s is %s, want %s", name, metric(t, p, name), want)
		}
	}
}

const volume = `{"title":"Volume","authors":["Some Body"],"isbn13":"9780306406157"}`

func TestABookFromMemoryIsAnsweredLikeOneFromTheDatabase(t *testing.T) {
	t.Parallel()
	env := databaseEnviron(t, pgtest.New(t).App)
	plain, cached := start(t, env), start(t, env, environ{"READ_CACHE": "on"})
	cached.log.wait(t, "changes of books are followed")
	await(t, cached, "bookd_read_cache_following", "1")
	status, header, _ := call(t, "POST", plain.api+"/api/v1/books", volume)
	if status != 201 {
		t.Fatalf("create: %d", status)
	}
	path := header.Get("Location")
	for _, test := range []struct {
		method, header, value string
		status                int
	}{
		{"GET", "", "", 200},
		{"GET", "", "", 200},
		{"HEAD", "", "", 200},
		{"GET", "If-None-Match", `"1"`, 304},
		{"GET", "If-None-Match", `"2"`, 200},
		{"GET", "If-Match", `"2"`, 412},
		{"GET", "Accept", "text/html", 406},
	} {
		answer := func(p *process) (int, http.Header, string) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, p.api+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if test.header != "" {
				req.Header.Set(test.header, test.value)
			}
			req.Header.Set("X-Request-Id", "the-same")
			return exchange(t, req)
		}
		wantStatus, wantHeader, wantBody := answer(plain)
		status, header, body := answer(cached)
		wantHeader.Del("Date")
		header.Del("Date")
		if status != test.status || wantStatus != test.status || body != wantBody || len(header) != len(wantHeader) {
			t.Errorf("%+v:\n%d %v %s, want\n%d %v %s", test, status, header, body, wantStatus, wantHeader, wantBody)
		}
		for name := range wantHeader {
			if header.Get(name) != wantHeader.Get(name) {
				t.Errorf("%+v: %s is %q, want %q", test, name, header.Get(name), wantHeader.Get(name))
			}
		}
	}
	if hits, misses := metric(t, cached, "bookd_read_cache_hits_total"), metric(t, cached, "bookd_read_cache_misses_total"); hits != "5" || misses != "1" {
		t.Errorf("%s hits and %s misses, want 5 and 1", hits, misses)
	}
	if books := metric(t, cached, "bookd_read_cache_books"); books != "1" {
		t.Errorf("%s books in memory, want 1", books)
	}
}

func TestWhatAnotherProcessImportsIsNotAnsweredFromMemory(t *testing.T) {
	t.Parallel()
	env := databaseEnviron(t, pgtest.New(t).App)
	p := start(t, env, environ{"READ_CACHE": "on"})
	await(t, p, "bookd_read_cache_following", "1")
	_, header, _ := call(t, "POST", p.api+"/api/v1/books", volume)
	url := p.api + header.Get("Location")
	call(t, "GET", url, "")
	file := `{"title":"Volume, revised","authors":["Some Body"],"isbn13":"9780306406157"}` + "\n"
	err := Run(t.Context(), []string{"import", "--format", "jsonl", "--on-conflict", "update", "-"},
		config.Lookup(env.lookup), strings.NewReader(file), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	await(t, p, "bookd_read_cache_invalidations_total", "1")
	if _, _, body := call(t, "GET", url, ""); !strings.Contains(body, "revised") {
		t.Errorf("after the import: %s", body)
	}
}

func TestMemoryIsPassedByWhileChangesAreNotHeardOf(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := start(t, databaseEnviron(t, db.App), environ{"READ_CACHE": "on"})
	await(t, p, "bookd_read_cache_following", "1")
	_, header, _ := call(t, "POST", p.api+"/api/v1/books", volume)
	url := p.api + header.Get("Location")
	call(t, "GET", url, "")
	// Whoever cannot register does not hear of anything either.
	owner := db.Conn(t, db.Owner)
	if _, err := owner.Exec(t.Context(), `ALTER TABLE read_caches RENAME TO elsewhere`); err != nil {
		t.Fatal(err)
	}
	p.log.wait(t, "changes of books cannot be followed; the read cache is bypassed")
	if following := metric(t, p, "bookd_read_cache_following"); following != "0" {
		t.Errorf("following is %s", following)
	}
	bypasses := metric(t, p, "bookd_read_cache_bypasses_total")
	if status, _, _ := call(t, "GET", url, ""); status != 200 {
		t.Errorf("a look-up is answered with %d", status)
	}
	if metric(t, p, "bookd_read_cache_bypasses_total") == bypasses {
		t.Error("the look-up was not counted as one that passed the memory by")
	}
	p.stop()
	if err := p.wait(t); err != nil {
		t.Errorf("stop: %v", err)
	}
}
