package bookjson

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
)

// written is the contract in the terms of encoding/json.
type written struct {
	ID            int64     `json:"id"`
	Title         string    `json:"title"`
	Authors       []string  `json:"authors"`
	ISBN13        *string   `json:"isbn13"`
	PublishedYear *int      `json:"published_year"`
	Language      *string   `json:"language"`
	Description   *string   `json:"description"`
	Version       int64     `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

type writtenPage struct {
	Items      []written `json:"items"`
	NextCursor *string   `json:"next_cursor"`
}

func asWritten(b book.Book) written {
	return written{
		b.ID, b.Title, b.Authors, book.OrNil(b.ISBN13), b.PublishedYear, book.OrNil(b.Language), book.OrNil(b.Description),
		b.Version, b.CreatedAt.UTC(), b.UpdatedAt.UTC(),
	}
}

// standard encodes with encoding/json, as every other answer is.
func standard(t *testing.T, v any) string {
	t.Helper()
	var body strings.Builder
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func TestBooksAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.FixedZone("", 3600))
	books := []book.Book{
		{ID: 1, Title: "Emma", Authors: []string{"Jane Austen"}, Version: 1, CreatedAt: at, UpdatedAt: at.Add(time.Nanosecond * 44000)},
		{
			ID: 1<<63 - 1, Title: `"Quotes" \ and <tags> & more`, Authors: []string{"Émile Zola", "村上春樹", "😀"}, ISBN13: "9780141439686",
			PublishedYear: new(-800), Language: "fr", Description: "a\tb\nc\r\u2028\u2029\u007f\x00\x1f\b\f", Version: 7,
			CreatedAt: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), UpdatedAt: at,
		},
		{ID: 3, Title: "not \xff\xc0 UTF-8 \xe2\x82", Authors: []string{}, PublishedYear: new(0)},
	}
	for _, b := range books {
		if diff := cmp.Diff(standard(t, asWritten(b)), string(Encode(b))); diff != "" {
			t.Errorf("book %d (-encoding/json +own):\n%s", b.ID, diff)
		}
	}
	page := writtenPage{Items: []written{}}
	if diff := cmp.Diff(standard(t, page), string(EncodePage(nil, ""))); diff != "" {
		t.Errorf("empty page (-encoding/json +own):\n%s", diff)
	}
	for _, b := range books {
		page.Items = append(page.Items, asWritten(b))
	}
	page.NextCursor = new("next")
	if diff := cmp.Diff(standard(t, page), string(EncodePage(books, "next"))); diff != "" {
		t.Errorf("page (-encoding/json +own):\n%s", diff)
	}
}

func TestStringsAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var s []byte
		for range random.IntN(12) {
			s = append(s, byte(random.IntN(256)))
		}
		if random.IntN(2) == 0 {
			s = append(s, string([]rune{rune(random.IntN(0x3000)), rune(0x2020 + random.IntN(16))})...)
		}
		want := standard(t, string(s))
		if got := string(appendString(nil, string(s))) + "\n"; got != want {
			t.Fatalf("%q is written as %s, by encoding/json as %s", s, got, want)
		}
	}
}

func FuzzStringsAreWrittenAsEncodingJSONWritesThem(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n", "é\u2028\xff", "\x7f\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := standard(t, s)
		if got := string(appendString(nil, s)) + "\n"; got != want {
			t.Fatalf("%q is written as %s, by encoding/json as %s", s, got, want)
		}
	})
}
