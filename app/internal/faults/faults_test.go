//go:build faults

package faults

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi"
	"bookshelf/app/internal/idempotency"
)

// load reads a plan that must be right.
func load(t *testing.T, variables map[string]string) Plan {
	t.Helper()
	p, err := Load(lookup(variables))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func lookup(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestAWrongPlanIsRefusedByTheNameOfItsVariable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variables map[string]string
		err       string
	}{
		"an unknown fault": {map[string]string{"BOOKD_FAULT": "fire"},
			`BOOKD_FAULT: must be one of start, unhealthy, errors, slow, late, leak, migration, crash, is "fire"`},
		"an empty fault":      {map[string]string{"BOOKD_FAULT": ""}, `migration, crash, is ""`},
		"no unit":             {map[string]string{"BOOKD_FAULT_AFTER": "5"}, `BOOKD_FAULT_AFTER: must be a duration such as "15s", is "5"`},
		"before the start":    {map[string]string{"BOOKD_FAULT_AFTER": "-1s"}, `is "-1s"`},
		"no number":           {map[string]string{"BOOKD_FAULT_RATE": "fast"}, `BOOKD_FAULT_RATE: must be a number of MiB from 1 to 1000, is "fast"`},
		"a leak of nothing":   {map[string]string{"BOOKD_FAULT_RATE": "0"}, `is "0"`},
		"a leak of too much":  {map[string]string{"BOOKD_FAULT_RATE": "1001"}, `is "1001"`},
		"the first of two":    {map[string]string{"BOOKD_FAULT": "x", "BOOKD_FAULT_RATE": "0"}, "BOOKD_FAULT: "},
		"with a fault beside": {map[string]string{"BOOKD_FAULT": "slow", "BOOKD_FAULT_RATE": "0"}, "BOOKD_FAULT_RATE: "},
	} {
		if p, err := Load(lookup(test.variables)); err == nil || !strings.Contains(err.Error(), test.err) || p != (Plan{}) {
			t.Errorf("%s: %+v, %v; want %q", name, p, err, test.err)
		}
	}
}

// Each command is asked for an hour's work; what a fault does to it shows in the error and in the time that passed.
func TestCommandsFailAsPlannedAndOthersDoNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault, command string
		fails          bool
		elapsed        time.Duration
	}{
		{start, "serve", true, 0},
		{start, "migrate", false, time.Hour},
		{crash, "serve", true, 7 * time.Second},
		{crash, "healthcheck", false, time.Hour},
		{migration, "migrate", true, moment},
		{migration, "serve", false, time.Hour},
		{unhealthy, "serve", false, time.Hour},
	} {
		t.Run(test.fault+" "+test.command, func(t *testing.T) {
			t.Parallel()
			p := load(t, map[string]string{"BOOKD_FAULT": test.fault, "BOOKD_FAULT_AFTER": "7s"})
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := p.Command(t.Context(), test.command, func(ctx context.Context) error { return wait(ctx, time.Hour) })
				if elapsed := time.Since(began); elapsed != test.elapsed {
					t.Errorf("it took %v, want %v", elapsed, test.elapsed)
				}
				if (err != nil) != test.fails || test.fails && !strings.Contains(err.Error(), "BOOKD_FAULT="+test.fault) {
					t.Errorf("error = %v, fails = %v", err, test.fails)
				}
			})
		})
	}
}

func TestACrashThatComesTooLateIsNone(t *testing.T) {
	t.Parallel()
	p := load(t, map[string]string{"BOOKD_FAULT": crash})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 14*time.Second, errors.New("stopped"))
		defer cancel()
		err := p.Command(ctx, "serve", func(ctx context.Context) error { return wait(ctx, time.Hour) })
		if err == nil || err.Error() != "stopped" {
			t.Errorf("error = %v, want what serve returned", err)
		}
	})
}

func TestALeakTakesMemoryAtItsRateAndEndsWithServe(t *testing.T) {
	t.Parallel()
	const rate, seconds = 8, 4
	p := load(t, map[string]string{"BOOKD_FAULT": leak, "BOOKD_FAULT_RATE": "8"})
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine is left over
		var taken uint64
		err := p.Command(t.Context(), "serve", func(ctx context.Context) error {
			before := heap()
			if err := wait(ctx, seconds*time.Second); err != nil {
				return err
			}
			taken = heap() - before
			return nil
		})
		// Whatever else lives on the heap is little beside it.
		if mib := taken >> 20; err != nil || mib < rate*seconds/2 || mib > rate*seconds*2 {
			t.Errorf("in %d s it took %d MiB (%v), want about %d", seconds, mib, err, rate*seconds)
		}
	})
}

// catalogue counts its uses, all of which succeed.
type catalogue struct {
	httpapi.Store

	uses int
}

func (c *catalogue) use() error { c.uses++; return nil }

func (c *catalogue) Ready(context.Context) error { return nil }

func (c *catalogue) List(context.Context, book.Query) ([]book.Book, *book.Position, error) {
	return nil, nil, c.use()
}

func (c *catalogue) Create(context.Context, book.Draft) (book.Book, error) {
	return book.Book{}, c.use()
}

func (c *catalogue) Get(context.Context, int64) (book.Book, error) { return book.Book{}, c.use() }

func (c *catalogue) Replace(context.Context, int64, book.Draft, book.Condition) (book.Book, error) {
	return book.Book{}, c.use()
}

func (c *catalogue) CreateOnce(
	context.Context, book.Draft, idempotency.Request, func(book.Book) (idempotency.Response, error),
) (response idempotency.Response, replayed bool, err error) {
	return idempotency.Response{}, false, c.use()
}

func (c *catalogue) Export(context.Context, func(book.Book) error) error { return c.use() }

func (c *catalogue) Modify(
	context.Context, int64, book.Condition, func(book.Book) (book.Draft, error),
) (book.Book, error) {
	return book.Book{}, c.use()
}

func (c *catalogue) Delete(context.Context, int64, book.Condition) error { return c.use() }

func (c *catalogue) History(context.Context, int64, int64, int) ([]book.Event, bool, error) {
	return nil, false, c.use()
}

// operations are the ways to use a catalogue; the first is the list.
func operations(s httpapi.Store) []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error { _, _, err := s.List(ctx, book.Query{}); return err },
		func(ctx context.Context) error { _, err := s.Create(ctx, book.Draft{}); return err },
		func(ctx context.Context) error {
			_, _, err := s.CreateOnce(ctx, book.Draft{}, idempotency.Request{}, nil)
			return err
		},
		func(ctx context.Context) error { return s.Export(ctx, nil) },
		func(ctx context.Context) error { _, err := s.Get(ctx, 1); return err },
		func(ctx context.Context) error {
			_, err := s.Replace(ctx, 1, book.Draft{}, book.Condition{})
			return err
		},
		func(ctx context.Context) error {
			_, err := s.Modify(ctx, 1, book.Condition{}, nil)
			return err
		},
		func(ctx context.Context) error { return s.Delete(ctx, 1, book.Condition{}) },
		func(ctx context.Context) error { _, _, err := s.History(ctx, 1, 0, 1); return err },
	}
}

func TestTheCatalogueFailsAsPlanned(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variables    map[string]string
		idle         time.Duration // before the first use
		lists, every int           // failures among 100 lists, and among 100 uses of each kind in turn
		elapsed      time.Duration // of one use
		ready        bool
	}{
		"without a fault":       {nil, time.Hour, 0, 0, 0, true},
		"errors":                {map[string]string{"BOOKD_FAULT": failing}, 0, 20, 20, 0, true},
		"slow":                  {map[string]string{"BOOKD_FAULT": slow}, 0, 0, 0, delay, true},
		"late, before its time": {map[string]string{"BOOKD_FAULT": late}, 14 * time.Second, 0, 0, 0, true},
		"late":                  {map[string]string{"BOOKD_FAULT": late}, 15 * time.Second, 50, 450, 0, true},
		"unhealthy":             {map[string]string{"BOOKD_FAULT": unhealthy}, time.Hour, 0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, test.variables)
			synctest.Test(t, func(t *testing.T) {
				inner := &catalogue{}
				s := p.Store(inner)
				if err := wait(t.Context(), test.idle); err != nil {
					t.Fatal(err)
				}
				if err := s.Ready(t.Context()); (err == nil) != test.ready {
					t.Errorf("ready: %v, want %v", err, test.ready)
				}
				began := time.Now()
				if failed := failures(t, operations(s)[:1]); failed != test.lists {
					t.Errorf("%d of 100 lists failed, want %d", failed, test.lists)
				}
				if each := time.Since(began) / 100; each != test.elapsed {
					t.Errorf("a list took %v, want %v", each, test.elapsed)
				}
				if failed := failures(t, operations(s)); failed != test.every {
					t.Errorf("%d of the other uses failed, want %d", failed, test.every)
				}
				if want := 100*(1+len(operations(s))) - test.lists - test.every; inner.uses != want {
					t.Errorf("%d uses came through, want %d", inner.uses, want)
				}
			})
		})
	}
}

// failures calls each of the operations in turn, a hundred times.
func failures(t *testing.T, operations []func(context.Context) error) (failed int) {
	t.Helper()
	for range 100 {
		for _, use := range operations {
			if err := use(t.Context()); err != nil {
				failed++
			}
		}
	}
	return failed
}

func TestASlowCatalogueEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	p := load(t, map[string]string{"BOOKD_FAULT": slow})
	synctest.Test(t, func(t *testing.T) {
		inner := &catalogue{}
		for i, use := range operations(p.Store(inner)) {
			ctx, cancel := context.WithTimeout(t.Context(), delay/3)
			if err := use(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("operation %d: %v, want the request's deadline", i, err)
			}
			cancel()
		}
		if inner.uses != 0 {
			t.Errorf("%d uses came through", inner.uses)
		}
	})
}

// heap is how many bytes of memory are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
