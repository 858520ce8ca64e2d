package readcache_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"bookshelf/app/internal/readcache"
)

// following returns a cache that may be used for an hour.
func following(t *testing.T) *readcache.Cache {
	t.Helper()
	c := readcache.New(1 << 20)
	c.Following(time.Now().Add(time.Hour))
	return c
}

// ask looks a book up whose stored version is given, and returns the version of the answer.
func ask(t *testing.T, c *readcache.Cache, id, stored int64) int64 {
	t.Helper()
	return askWhile(t, c, id, stored, func() {})
}

// askWhile does the same, and calls meanwhile between the reading of the book and the keeping of the answer.
func askWhile(t *testing.T, c *readcache.Cache, id, stored int64, meanwhile func()) int64 {
	t.Helper()
	a, err := c.Answer(id, func() (readcache.Answer, error) {
		meanwhile()
		return readcache.Answer{Body: []byte("a book"), Version: stored}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a.Version
}

func TestAnAnswerIsGivenAgainUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happens func(c *readcache.Cache)
		forgets bool
	}{
		"nothing happens":                       {func(*readcache.Cache) {}, false},
		"another book is changed":               {func(c *readcache.Cache) { c.Changed([]int64{23}) }, false},
		"another one of its part is changed":    {func(c *readcache.Cache) { c.Changing(7 + 16)() }, false},
		"somebody changes it":                   {func(c *readcache.Cache) { c.Changed([]int64{23, 7}) }, true},
		"somebody changes many":                 {func(c *readcache.Cache) { c.ChangedAll() }, true},
		"this process changes it":               {func(c *readcache.Cache) { c.Changing(7)() }, true},
		"this process changes many":             {func(c *readcache.Cache) { c.ChangingAll()() }, true},
		"changes are heard of for longer":       {func(c *readcache.Cache) { c.Following(time.Now().Add(2 * time.Hour)) }, false},
		"changes were not heard of for a while": {func(c *readcache.Cache) { c.Lost(); c.Following(time.Now().Add(time.Hour)) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := following(t)
			ask(t, c, 7, 1)
			test.happens(c)
			want := int64(1)
			if test.forgets {
				want = 2
			}
			if got := ask(t, c, 7, 2); got != want {
				t.Errorf("version %d, want %d", got, want)
			}
			if got := ask(t, c, 7, 3); got != want {
				t.Errorf("the next answer has version %d, want %d", got, want)
			}
		})
	}
}

func TestWhatIsReadWhileSomethingChangesIsNotKept(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *readcache.Cache){
		"somebody changes it":                   func(c *readcache.Cache) { c.Changed([]int64{7}) },
		"somebody changes many":                 func(c *readcache.Cache) { c.ChangedAll() },
		"this process changes it":               func(c *readcache.Cache) { c.Changing(7)() },
		"this process begins to change it":      func(c *readcache.Cache) { c.Changing(7) },
		"this process changes many":             func(c *readcache.Cache) { c.ChangingAll()() },
		"changes are not heard of any more":     func(c *readcache.Cache) { c.Lost() },
		"changes were not heard of for a while": func(c *readcache.Cache) { c.Lost(); c.Following(time.Now().Add(time.Hour)) },
	}
	for name, happens := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := following(t)
			if got := askWhile(t, c, 7, 1, func() { happens(c) }); got != 1 {
				t.Errorf("version %d, want what was read, 1", got)
			}
			if got := ask(t, c, 7, 2); got != 2 {
				t.Errorf("afterwards version %d, want what is stored, 2", got)
			}
		})
	}
}

// A read that began before the gap must not be kept after it, although nothing is known of a gap when it ends.
func TestAReadOfBeforeAGapIsNotKeptWhenItBeginsToBeKeptWithinIt(t *testing.T) {
	t.Parallel()
	c := following(t)
	askWhile(t, c, 7, 1, func() {
		c.Lost()
		c.Following(time.Now().Add(time.Hour))
		ask(t, c, 7, 2) // another read, begun afterwards, is kept
	})
	if got := ask(t, c, 7, 3); got != 2 {
		t.Errorf("version %d, want that of the later read, 2", got)
	}
}

func TestNothingIsKeptWhileAChangeOfThisProcessIsUnderWay(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *readcache.Cache) (done func()){
		"of the book":   func(c *readcache.Cache) func() { return c.Changing(7) },
		"of many books": func(c *readcache.Cache) func() { return c.ChangingAll() },
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := following(t)
			first, second := begin(c), begin(c)
			for stored := int64(1); stored < 4; stored++ {
				if got := ask(t, c, 7, stored); got != stored {
					t.Errorf("version %d, want what is stored, %d", got, stored)
				}
				if stored == 2 {
					first()
				}
			}
			second()
			ask(t, c, 7, 4)
			if got := ask(t, c, 7, 5); got != 4 {
				t.Errorf("after the change version %d, want what is kept, 4", got)
			}
			if s := c.Stats(); s.Bypasses != 3 || s.Misses != 1 || s.Hits != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestItIsPassedByUnlessChangesAreHeardOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := readcache.New(1 << 20)
		use := func(when string, want bool) {
			t.Helper()
			ask(t, c, 7, 1)
			before := c.Stats()
			ask(t, c, 7, 1)
			after := c.Stats()
			if after.Following != want || (after.Hits > before.Hits) != want || (after.Bypasses > before.Bypasses) == want {
				t.Errorf("%s: %+v", when, after)
			}
		}
		use("at the start", false)
		c.Following(time.Now().Add(3 * time.Second))
		use("when changes are heard of", true)
		time.Sleep(3*time.Second - 1) //nolint:forbidigo // the bubble's clock
		use("until the time is over", true)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // the bubble's clock
		use("when the time is over", false)
		c.Following(time.Now().Add(3 * time.Second))
		use("when it was only late", true)
		c.Lost()
		use("when the connection is lost", false)
		if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("%+v is left", s)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	c := following(t)
	boom := errors.New("boom")
	if _, err := c.Answer(7, func() (readcache.Answer, error) { return readcache.Answer{}, boom }); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Answer(7, func() (readcache.Answer, error) { panic("a bug") })
	}()
	ask(t, c, 7, 1)
	if got := ask(t, c, 7, 2); got != 1 {
		t.Errorf("version %d; after a failure nothing is kept any more", got)
	}
}

func TestOneOfSeveralReadsAtOnceIsKept(t *testing.T) {
	t.Parallel()
	c := following(t)
	askWhile(t, c, 7, 1, func() { ask(t, c, 7, 1); ask(t, c, 7, 1) })
	if got := ask(t, c, 7, 2); got != 1 {
		t.Errorf("version %d, want what the first has kept, 1", got)
	}
	if s := c.Stats(); s.Misses != 3 || s.Entries != 1 {
		t.Errorf("%+v, want 3 misses and one book", s)
	}
}

func TestItsSizeIsBoundedAndWhatWasUsedLastStays(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	c := readcache.New(size)
	c.Following(time.Now().Add(time.Hour))
	keep := func(id int64, bytesOfBody int) (hit bool) {
		hits := c.Stats().Hits
		_, err := c.Answer(id, func() (readcache.Answer, error) {
			return readcache.Answer{Body: bytes.Repeat([]byte("x"), bytesOfBody)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return c.Stats().Hits > hits
	}
	for id := range int64(10_000) {
		keep(id, 1000)
		keep(7, 1000)
	}
	s := c.Stats()
	if s.Bytes > size || s.Bytes < size*9/10 || s.Entries < size/1500 {
		t.Errorf("%+v, want about %d bytes", s, size)
	}
	if !keep(7, 1000) || keep(16, 1000) {
		t.Error("want the book that is used again and again, and none of the first that were used once")
	}
	keep(3, size/16)
	if keep(3, size/16) {
		t.Error("a body that does not fit is kept")
	}
}

func TestNoCacheReads(t *testing.T) {
	t.Parallel()
	var c *readcache.Cache
	ask(t, c, 7, 1)
	if got := ask(t, c, 7, 2); got != 2 {
		t.Errorf("version %d, want what is stored, 2", got)
	}
}
