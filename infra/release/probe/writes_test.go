package probe

import (
	"cmp"
	"net/http"
	"regexp"
	"testing"
	"time"

	"bookshelf/infra/release"
)

func TestWritesAreReckonedAgainstWhatIsThere(t *testing.T) {
	t.Parallel()
	written := []Write{{"a", true}, {"b", true}, {"c", true}, {"d", false}, {"e", false}, {"f", false}}
	keys := []string{"a", "c", "c", "e", "f", "f", "f", "of somebody else"}
	want := release.Writes{Sent: 6, Acknowledged: 3, Once: 2, Missing: 1, Twice: 2, Unacknowledged: 2}
	if got := Reckon(keys, written); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Reckon(nil, nil); got != (release.Writes{}) {
		t.Errorf("nothing is %+v", got)
	}
}

func TestWordsAreReplacedByWhatTheyStandFor(t *testing.T) {
	t.Parallel()
	w := words{run: "r1", prefix: "9790", first: 99_999_999}
	for template, want := range map[string]string{
		"plain":                    "plain",
		"{{run}}/{{n}}":            "r1/7",
		"{{ean13}}":                "9790000000001", // the number after the last is the first
		"{{n}}{{n}} {run} {{ n }}": "77 {run} {{ n }}",
	} {
		if got := w.fill(template, 7, 1); got != want {
			t.Errorf("%q becomes %q, want %q", template, got, want)
		}
	}
	if uuid := w.fill("{{uuid}}", 7, 1); !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(uuid) || uuid == w.uuid(8) {
		t.Errorf("%q is no UUID of version 8 of its own", uuid)
	}
}

func TestAnEAN13HasItsCheckDigit(t *testing.T) {
	t.Parallel()
	// A music number from the ISMN Users' Manual, 979-0-2600-0043-8, and a number from the ISBN Users' Manual, 978-92-95055-02-5.
	for want, w := range map[string]words{
		"9790260000438": {prefix: "9790", first: 26_000_043},
		"9789295055025": {prefix: "978929", first: 505_502},
	} {
		if got := w.ean13(0); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNumbersOfARunAreItsOwn(t *testing.T) {
	t.Parallel()
	c := mixed(100)
	began := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	seen := map[string]string{}
	for _, run := range []string{"first", "second", "third"} {
		w := newWords(c, run, began)
		ordinal := 0
		const seconds = 60
		for n := range seconds * int(c.Rate) {
			if k, _ := c.kindOf(n); k == read {
				continue
			}
			number := w.ean13(ordinal)
			if other, ok := seen[number]; ok {
				t.Fatalf("%s has number %s, which %s had already", run, number, other)
			}
			seen[number] = run
			ordinal++
		}
		began = began.Add(seconds * time.Second) // the next run begins when this one ends
	}
}

func TestReadsAreFilledAndLeaveTheConfigurationAlone(t *testing.T) {
	t.Parallel()
	c := Config{Rate: 100, Read: []Request{{Path: "/a?run={{run}}"}, {Path: "/b/{{n}}", Headers: map[string]string{"X-Run": "{{run}}"}}}}
	reads := c.Reads("r7")
	if reads[0].Path != "/a?run=r7" || reads[1].Path != "/b/1" || reads[1].Headers["X-Run"] != "r7" {
		t.Errorf("have %v", reads)
	}
	if c.Read[1].Headers["X-Run"] != "{{run}}" {
		t.Error("the configuration has changed")
	}
}

func TestEveryRequestShowsTheTokenThatTheRunWasGiven(t *testing.T) {
	t.Parallel()
	c := Config{Rate: 100, Read: []Request{{Path: "/a"}}, Write: &Request{Method: http.MethodPost, Path: "/b"}}.Authorized("abc")
	p := &Probe{config: c, base: "http://127.0.0.1", words: newWords(c, "r7", time.Now())}
	for _, template := range []Request{c.Read[0], *c.Write} {
		template.Method = cmp.Or(template.Method, http.MethodGet)
		request, err := p.request(template, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := request.Header.Get("Authorization"); got != "Bearer abc" {
			t.Errorf("%s %s shows %q", template.Method, template.Path, got)
		}
	}
	if got := c.Reads("r7")[0].Headers["Authorization"]; got != "Bearer abc" {
		t.Errorf("a load shows %q", got)
	}
}
