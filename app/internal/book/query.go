package book

import (
	"strings"
	"unicode"
)

// Limits of a query.
const (
	MaxPageLimit = 200
	MaxFilterLen = 200 // characters of the author and title filters
)

// SortKey names the field a list is ordered by.
type SortKey int

// The zero value orders by ID.
const (
	ByID SortKey = iota
	ByTitle
	ByYear
	ByRelevance // to Query.Text, without which there is none; the best first, whatever the direction
)

// Sort is an order of books. Books that are equal by Key follow each other by ID, in the same direction, so that every
// order is total. Titles are compared by code point, as Go compares strings. Books without a year come last in both
// directions.
type Sort struct {
	Key        SortKey
	Descending bool
}

// Query asks for one page of books. Empty fields do not filter; those that are set must all hold.
type Query struct {
	// Text is what to search title, authors and description for, as people write searches: words that must all occur as
	// whole words, in any case; "..." for words in a row, "or" between alternatives, "-" before what must not occur.
	Text         string
	Author       string // part of any author's name, in any case
	AuthorPrefix string // the beginning of any author's name, in any case
	Title        string // part of the title, in any case

	ISBN     string // ISBN-10 or ISBN-13 in any form that ParseISBN accepts
	Year     *int
	Language string // a language range: "en" finds "en" and "en-US" (basic filtering, RFC 4647, section 3.3.1)
	Sort     Sort
	Limit    int       // 1 to MaxPageLimit
	After    *Position // where the previous page ended, or nil for the first page
}

// Position is the place of one book in an ordered list: the ID and the sort key of a page's last row. It stays valid when
// that row has been changed or deleted in the meantime.
type Position struct {
	ID    int64
	Title string  // set when sorted by title
	Year  *int    // set when sorted by year; nil is a book without a year
	Rank  float32 // set when sorted by relevance; 0 or more, and only to be compared within one list
}

// Normalize returns q with its filters trimmed and in canonical form, or an *InvalidError whose pointers name the query's
// fields, as the API's parameters are called: "/q", "/author", "/author_prefix", "/title", "/isbn", "/year", "/language",
// "/sort", "/limit", "/cursor".
func (q Query) Normalize() (Query, error) {
	var c checker
	q.Text = strings.TrimSpace(q.Text)
	if c.text("/q", q.Text, MaxFilterLen, "") && q.Text != "" && strings.IndexFunc(q.Text, wordy) < 0 {
		c.add("/q", "must contain a word to search for")
	}
	q.Author = strings.TrimSpace(q.Author)
	c.text("/author", q.Author, MaxFilterLen, "")
	q.AuthorPrefix = strings.TrimSpace(q.AuthorPrefix)
	c.text("/author_prefix", q.AuthorPrefix, MaxFilterLen, "")
	q.Title = strings.TrimSpace(q.Title)
	c.text("/title", q.Title, MaxFilterLen, "")
	q.ISBN = parseOptional(&c, "/isbn", q.ISBN, ParseISBN)
	q.Language = parseOptional(&c, "/language", q.Language, ParseLanguage)
	if q.Year != nil && (*q.Year < MinYear || *q.Year > MaxYear) {
		c.add("/year", "must be from %d to %d, is %d", MinYear, MaxYear, *q.Year)
	}
	switch {
	case q.Sort.Key < ByID || q.Sort.Key > ByRelevance:
		c.add("/sort", "must be by id, title, year or relevance")
	case q.Sort.Key == ByRelevance && q.Text == "":
		c.add("/sort", "must not be relevance without q, a text to search for")
	}
	if q.Limit < 1 || q.Limit > MaxPageLimit {
		c.add("/limit", "must be from 1 to %d, is %d", MaxPageLimit, q.Limit)
	}
	if q.After != nil {
		c.position(*q.After)
	}
	if err := c.err(); err != nil {
		return Query{}, err
	}
	return q, nil
}

// position refuses what no stored book can have: a position comes back from clients, who may have altered it.
func (c *checker) position(p Position) {
	c.text("/cursor", p.Title, MaxTitleLen, "")
	if p.Year != nil && (*p.Year < MinYear || *p.Year > MaxYear) {
		c.add("/cursor", "must hold a year from %d to %d, holds %d", MinYear, MaxYear, *p.Year)
	}
	if p.Rank < 0 {
		c.add("/cursor", "must not hold a negative rank")
	}
}

// wordy reports whether r can be part of a word.
func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
