package book

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQueryNormalize(t *testing.T) {
	t.Parallel()
	got, err := Query{
		Text: ` "Monte Cristo" `, Author: " Dumas ", AuthorPrefix: " Alex ", Title: "\tMonte ",
		ISBN: "0-14-044926-4", Year: new(1844), Language: "FRA", Limit: 1,
	}.Normalize()
	if err != nil {
		t.Fatal(err)
	}
	want := Query{
		Text: `"Monte Cristo"`, Author: "Dumas", AuthorPrefix: "Alex", Title: "Monte",
		ISBN: "9780140449266", Year: new(1844), Language: "fr", Limit: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestQueryNormalizeNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*Query)
		pointer string
	}{
		"limit of nothing":        {func(q *Query) { q.Limit = 0 }, "/limit"},
		"limit too high":          {func(q *Query) { q.Limit = MaxPageLimit + 1 }, "/limit"},
		"author not UTF-8":        {func(q *Query) { q.Author = "\xff" }, "/author"},
		"title with a NUL":        {func(q *Query) { q.Title = "a\x00" }, "/title"},
		"title too long":          {func(q *Query) { q.Title = strings.Repeat("a", MaxFilterLen+1) }, "/title"},
		"ISBN with a wrong digit": {func(q *Query) { q.ISBN = "9780306406158" }, "/isbn"},
		"year out of range":       {func(q *Query) { q.Year = new(MaxYear + 1) }, "/year"},
		"language of no form":     {func(q *Query) { q.Language = "*" }, "/language"},
		"unknown sort key":        {func(q *Query) { q.Sort.Key = ByRelevance + 1 }, "/sort"},
		"relevance to nothing":    {func(q *Query) { q.Sort.Key = ByRelevance }, "/sort"},
		"a search without a word": {func(q *Query) { q.Text = `"-" ?!` }, "/q"},
		"a search with a NUL":     {func(q *Query) { q.Text = "a\x00" }, "/q"},
		"a search too long":       {func(q *Query) { q.Text = strings.Repeat("a", MaxFilterLen+1) }, "/q"},
		"a prefix too long":       {func(q *Query) { q.AuthorPrefix = strings.Repeat("a", MaxFilterLen+1) }, "/author_prefix"},
		"position of no rank":     {func(q *Query) { q.After = &Position{Rank: -0.5} }, "/cursor"},
		"position with a NUL":     {func(q *Query) { q.After = &Position{Title: "\x00"} }, "/cursor"},
		"position of no year":     {func(q *Query) { q.After = &Position{Year: new(MinYear - 1)} }, "/cursor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := Query{Limit: MaxPageLimit}
			test.change(&q)
			_, err := q.Normalize()
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Violations) != 1 || invalid.Violations[0].Pointer != test.pointer {
				t.Errorf("%v, want one violation at %s", err, test.pointer)
			}
		})
	}
}

func TestErrorsSpeakForThemselves(t *testing.T) {
	t.Parallel()
	conflict := &ConflictError{Field: "isbn13", Value: "9780306406157"}
	if got, want := conflict.Error(), "another book already has isbn13 9780306406157"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	invalid := &InvalidError{Violations: []Violation{{"/title", "must not be blank"}, {"/authors/3", "is odd"}}}
	if got, want := invalid.Error(), "invalid: title: must not be blank; authors/3: is odd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
