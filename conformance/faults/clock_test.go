package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

// clockImage is the product's database with Debian's libfaketime, which lies to every process about the time of day, and about no
// duration, as a step of the clock does.
func clockImage(t *testing.T) string {
	t.Helper()
	engine.NeedPostgres(t)
	name := engine.UniqueName()
	// The entry point passes other commands on, so it stays as it is.
	out, err := engine.Try(t.Context(), "run", "--name", name, engine.PostgresImage, "sh", "-c",
		"apt-get update -qq && apt-get install -qq --no-install-recommends libfaketime && ln -s /usr/lib/*/faketime/libfaketime.so.1 /usr/lib/libfaketime.so.1 && echo +0 > /clock && chmod 666 /clock")
	engine.CleanUp(t, "rm", "--force", "--volumes", name)
	engine.Need(t, err == nil, "libfaketime cannot be had from Debian's archive: "+out)
	image := name + ":clock"
	args := []string{"commit"}
	for _, change := range []string{
		`CMD ["postgres"]`, "ENV LD_PRELOAD=/usr/lib/libfaketime.so.1", "ENV FAKETIME_TIMESTAMP_FILE=/clock", "ENV FAKETIME_NO_CACHE=1",
		// What it shares between processes belongs to the user who began, who is not the one that goes on.
		"ENV FAKETIME_DONT_FAKE_MONOTONIC=1", "ENV FAKETIME_DISABLE_SHM=1",
	} {
		args = append(args, "--change", change)
	}
	engine.Run(t, append(args, name, image)...)
	engine.CleanUp(t, "image", "rm", "--force", image)
	return image
}

// step sets the database's clock off by so much, at once for all its sessions.
func (s *stack) step(offset string) time.Time {
	s.t.Helper()
	s.docker("exec", "--user", "root", s.db, "sh", "-c", "echo "+offset+" > /clock.new && mv /clock.new /clock")
	return time.Now()
}

// TestAClockThatGoesBackBreaksNothing steps the database's clock by two hours, which is longer than responses are kept and than the token is good.
func TestAClockThatGoesBackBreaksNothing(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{
		image: clockImage(t), scopes: "books:read,books:write,admin", service: []string{"IDEMPOTENCY_RETENTION=1h", "RATE_LIMIT_TOKEN=100000/1m"},
	})
	l := s.load()
	s.suffer(l, fault{
		name: "the database's clock goes back",
		inject: func() {
			s.step("-2h")
			hours := s.psql("bookshelf", "SELECT round(extract(epoch FROM now()) / 3600)")
			if want := fmt.Sprint((time.Now().Unix() - 7200 + 1800) / 3600); hours != want {
				t.Fatalf("the database's clock says %s h, want %s", hours, want)
			}
		},
		mend: func() time.Time {
			s.wantEachOnce(l)
			return s.step("+0")
		},
	})
	s.wantEachOnce(l)
	s.settle(l, "clock")

	create := func(key, title string) (b written) {
		body := fmt.Sprintf(`{"title":%q,"authors":["A writer"]}`, title)
		if outcome, detail := l.try(t.Context(), http.MethodPost, "/api/v1/books", body, key, &b); outcome != good {
			t.Fatalf("create %s: %s %s", title, outcome, detail)
		}
		return b
	}
	first := create("kept", "Kept")
	s.step("-2h")
	if again := create("kept", "Kept"); again != first {
		t.Errorf("before its time, the key gives %+v, want %+v", again, first)
	}
	during := create("during", "During")
	path := fmt.Sprintf("/api/v1/books/%d", first.ID)
	var changed written
	if outcome, detail := l.try(t.Context(), http.MethodPut, path, `{"title":"Changed","authors":["A writer"]}`, "", &changed); outcome != good || changed.Version != 2 {
		t.Errorf("a change before the creation: %+v %s %s", changed, outcome, detail)
	}
	var history struct{ Items []struct{ Version int64 } }
	if outcome, detail := l.try(t.Context(), http.MethodGet, path+"/history", "", "", &history); outcome != good || len(history.Items) != 2 ||
		history.Items[0].Version != 2 || history.Items[1].Version != 1 {
		t.Errorf("the history is not the newest first: %+v %s %s", history, outcome, detail)
	}
	s.step("+0")
	if again := create("kept", "Kept"); again != first {
		t.Errorf("at its time, the key gives %+v, want %+v", again, first)
	}
	// A key of the past two hours is over once the clock is right: it is made anew, as one that was kept its time.
	if again := create("during", "During"); again.ID == during.ID {
		t.Errorf("after its time, the key still gives %+v", again)
	}
}

// wantEachOnce walks the list page by page, while others write, and asserts that it has every book once that was there at the beginning.
func (s *stack) wantEachOnce(l *load) {
	t := s.t
	t.Helper()
	l.mu.Lock()
	books := append([]written(nil), l.books...)
	l.mu.Unlock()
	for _, sort := range []string{"id", "title"} {
		seen := map[int64]int{}
		next := ""
		for {
			var page struct {
				Items []written
				Next  string `json:"next_cursor"`
			}
			path := "/api/v1/books?limit=50&sort=" + sort
			if next != "" {
				path += "&cursor=" + next
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			outcome, detail := l.try(ctx, http.MethodGet, path, "", "", &page)
			cancel()
			if outcome != good || len(page.Items) == 0 {
				t.Fatalf("%s: %s %s", path, outcome, detail)
			}
			for _, book := range page.Items {
				seen[book.ID]++
			}
			if next = page.Next; next == "" {
				break
			}
		}
		var missing []string
		for _, book := range books {
			if seen[book.ID] != 1 {
				missing = append(missing, fmt.Sprintf("%d × %s", seen[book.ID], book.Title))
			}
		}
		if len(books) == 0 || len(missing) > 0 {
			t.Errorf("by %s, of %d books: %s", sort, len(books), strings.Join(missing, ", "))
		}
	}
}
