package book

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)

func TestNormalizeMakesADraftCanonical(t *testing.T) {
	t.Parallel()
	in := Draft{
		Title:         "\t The Odyssey\u00a0\n",
		Authors:       []string{" Homer ", "Emily  Wilson"},
		ISBN:          " 0-393-08905-3 ",
		PublishedYear: new(-750),
		Language:      "ENG-us",
		Description:   "\r\nTell me\r\n\tabout \r\n",
	}
	want := Draft{
		Title:         "The Odyssey",
		Authors:       []string{"Homer", "Emily  Wilson"},
		ISBN:          "9780393089059",
		PublishedYear: new(-750),
		Language:      "en-US",
		Description:   "Tell me\n\tabout",
	}
	got, err := in.Normalize(now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("canonical draft (-want +got):\n%s", diff)
	}
	again, err := got.Normalize(now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("a canonical draft changed (-before +after):\n%s", diff)
	}
	*in.PublishedYear, in.Authors[0] = 1, "somebody else"
	if *got.PublishedYear != -750 || got.Authors[0] != "Homer" {
		t.Error("the canonical draft shares memory with its input")
	}
}

func TestNormalizeAcceptsOnlyTitleAndAuthor(t *testing.T) {
	t.Parallel()
	got, err := Draft{Title: "Beowulf", Authors: []string{"unknown"}, ISBN: " ", Language: "\t", Description: "\n"}.Normalize(now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Draft{Title: "Beowulf", Authors: []string{"unknown"}}, got); diff != "" {
		t.Errorf("draft with blanks (-want +got):\n%s", diff)
	}
}

func TestNormalizeNamesEveryViolationAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Draft{
		Title: " ", Authors: []string{"Homer", "", "\x00"}, ISBN: "123", PublishedYear: new(3000), Language: "_", Description: "\xff",
	}.Normalize(now)
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%v, want an InvalidError", err)
	}
	var pointers []string
	for _, v := range invalid.Violations {
		pointers = append(pointers, v.Pointer)
		if v.Detail == "" || !strings.Contains(err.Error(), strings.TrimPrefix(v.Pointer, "/")+": "+v.Detail) {
			t.Errorf("%+v is not in the error's text %q", v, err)
		}
	}
	want := []string{"/title", "/authors/1", "/authors/2", "/description", "/published_year", "/isbn13", "/language"}
	slices.Sort(want)
	slices.Sort(pointers)
	if diff := cmp.Diff(want, pointers); diff != "" {
		t.Errorf("pointers (-want +got):\n%s", diff)
	}
}

func TestNormalizeHoldsTheLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*Draft)
		pointer string // "" when the draft is acceptable
	}{
		"title of the longest length in characters, not bytes": {
			func(d *Draft) { d.Title = strings.Repeat("é", MaxTitleLen) }, ""},
		"title trimmed to the longest length": {
			func(d *Draft) { d.Title = strings.Repeat("é", MaxTitleLen) + "  " }, ""},
		"title too long":          {func(d *Draft) { d.Title = strings.Repeat("é", MaxTitleLen+1) }, "/title"},
		"title not UTF-8":         {func(d *Draft) { d.Title = "a\xc3" }, "/title"},
		"title with a NUL":        {func(d *Draft) { d.Title = "a\x00b" }, "/title"},
		"title with a line end":   {func(d *Draft) { d.Title = "a\nb" }, "/title"},
		"title with a C1 control": {func(d *Draft) { d.Title = "a\u009bb" }, "/title"},
		"title of white space of every kind": {
			func(d *Draft) { d.Title = " \t\u00a0\u2003\u3000" }, "/title"},
		"title that nobody can see": {func(d *Draft) { d.Title = "\u200b\u200d\ufeff" }, "/title"},
		"title of one emoji":        {func(d *Draft) { d.Title = "😀" }, ""},
		"title 1984":                {func(d *Draft) { d.Title = "1984" }, ""},
		"no authors":                {func(d *Draft) { d.Authors = nil }, "/authors"},
		"the most authors":          {func(d *Draft) { d.Authors = slices.Repeat([]string{"A"}, MaxAuthors) }, ""},
		"too many authors":          {func(d *Draft) { d.Authors = slices.Repeat([]string{"A"}, MaxAuthors+1) }, "/authors"},
		"Alexandre Dumas, twice":    {func(d *Draft) { d.Authors = []string{"Alexandre Dumas", "Alexandre Dumas"} }, ""},
		"author too long": {
			func(d *Draft) { d.Authors = []string{"A", strings.Repeat("a", MaxAuthorLen+1)} }, "/authors/1"},
		"author of the longest length": {
			func(d *Draft) { d.Authors = []string{strings.Repeat("a", MaxAuthorLen)} }, ""},
		"the earliest year":     {func(d *Draft) { d.PublishedYear = new(MinYear) }, ""},
		"too early":             {func(d *Draft) { d.PublishedYear = new(MinYear - 1) }, "/published_year"},
		"year 0":                {func(d *Draft) { d.PublishedYear = new(0) }, ""},
		"next year":             {func(d *Draft) { d.PublishedYear = new(2027) }, ""},
		"the year after next":   {func(d *Draft) { d.PublishedYear = new(2028) }, "/published_year"},
		"description with tabs": {func(d *Draft) { d.Description = "a\n\n\tb" }, ""},
		"description with a lone carriage return": {
			func(d *Draft) { d.Description = "a\rb" }, "/description"},
		"description of the longest length": {
			func(d *Draft) { d.Description = strings.Repeat("語", MaxDescriptionLen) }, ""},
		"description too long": {
			func(d *Draft) { d.Description = strings.Repeat("語", MaxDescriptionLen+1) }, "/description"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Draft{Title: "T", Authors: []string{"A"}}
			test.change(&d)
			_, err := d.Normalize(now)
			var invalid *InvalidError
			switch {
			case test.pointer == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.pointer != "" && !errors.As(err, &invalid):
				t.Errorf("%v, want an InvalidError", err)
			case test.pointer != "" && (len(invalid.Violations) != 1 || invalid.Violations[0].Pointer != test.pointer):
				t.Errorf("violations %v, want one at %s", invalid.Violations, test.pointer)
			}
		})
	}
}

func TestTheNextYearIsCountedInUTC(t *testing.T) {
	t.Parallel()
	// In this zone it is 2027 already, in UTC still 2026.
	ahead := now.Add(30 * time.Minute).In(time.FixedZone("ahead", 14*3600))
	if _, err := (Draft{Title: "T", Authors: []string{"A"}, PublishedYear: new(2028)}).Normalize(ahead); err == nil {
		t.Error("2028 is accepted while it is 2026 in UTC")
	}
}
