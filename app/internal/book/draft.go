package book

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a book's fields. The database repeats them as CHECK constraints. Lengths are in characters (Unicode code
// points), which is what PostgreSQL's char_length counts.
const (
	// MaxTitleLen also keeps a title's index entry (up to 4 bytes a character) below a third of a PostgreSQL page, the
	// most that a B-tree accepts.
	MaxTitleLen       = 500
	MaxAuthors        = 50
	MaxAuthorLen      = 200
	MaxLanguageLen    = 35 // what RFC 5646, section 4.4.1, asks every implementation to have room for
	MaxDescriptionLen = 10_000

	// MinYear and MaxYear bound a published year whatever the clock says; Normalize also refuses years later than the next.
	MinYear = -3000
	MaxYear = 9999
)

// Normalize returns the canonical form of d: white space around every text removed, line ends in the description as "\n",
// the ISBN as 13 digits, the language in the case of RFC 5646. When anything in it is not acceptable, it returns an
// *InvalidError with every violation instead. now decides which year is the next one, the last that may be given: books
// are announced ahead.
//
// The same author may be named twice: names do not identify people, and fathers and sons have written books together.
func (d Draft) Normalize(now time.Time) (Draft, error) {
	var c checker
	out := Draft{
		Title:       c.line("/title", d.Title, MaxTitleLen),
		Authors:     c.authors(d.Authors),
		Description: c.description(d.Description),
	}
	if d.PublishedYear != nil {
		year := *d.PublishedYear // copied, so that the result shares nothing with the input
		c.year(year, now)
		out.PublishedYear = &year
	}
	out.ISBN = parseOptional(&c, "/isbn13", d.ISBN, ParseISBN)
	out.Language = parseOptional(&c, "/language", d.Language, ParseLanguage)
	if err := c.err(); err != nil {
		return Draft{}, err
	}
	return out, nil
}

// checker gathers violations.
type checker struct {
	violations []Violation
}

func (c *checker) add(pointer, format string, args ...any) {
	c.violations = append(c.violations, Violation{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

// err returns nil when nothing was violated.
func (c *checker) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return &InvalidError{Violations: c.violations}
}

// line checks a required text of one line and returns it trimmed.
func (c *checker) line(pointer, s string, maxLen int) string {
	s = strings.TrimSpace(s)
	switch {
	case !c.text(pointer, s, maxLen, ""):
	case strings.IndexFunc(s, visible) < 0:
		// Zero-width characters are not white space, but a reader sees nothing all the same.
		c.add(pointer, "must not be blank")
	}
	return s
}

func (c *checker) authors(names []string) []string {
	switch n := len(names); {
	case n == 0:
		c.add("/authors", "must name at least one author")
		return nil
	case n > MaxAuthors:
		c.add("/authors", "must not name more than %d authors, names %d", MaxAuthors, n)
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = c.line("/authors/"+strconv.Itoa(i), name, MaxAuthorLen)
	}
	return out
}

func (c *checker) description(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	c.text("/description", s, MaxDescriptionLen, "\n\t")
	return s
}

func (c *checker) year(year int, now time.Time) {
	if last := min(now.UTC().Year()+1, MaxYear); year < MinYear || year > last {
		c.add("/published_year", "must be from %d to %d, is %d", MinYear, last, year)
	}
}

// text reports whether s is valid UTF-8 of at most maxLen characters without control characters other than those allowed.
func (c *checker) text(pointer, s string, maxLen int, allowed string) bool {
	if !utf8.ValidString(s) {
		c.add(pointer, "must be valid UTF-8")
		return false
	}
	if n := utf8.RuneCountInString(s); n > maxLen {
		c.add(pointer, "must not be longer than %d characters, has %d", maxLen, n)
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) && !strings.ContainsRune(allowed, r) {
			c.add(pointer, "must not contain the control character %U", r)
			return false
		}
	}
	return true
}

// visible reports whether r leaves a mark on paper.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

// parseOptional returns what parse makes of s, or "" for a blank s.
func parseOptional(c *checker, pointer, s string, parse func(string) (string, error)) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	out, err := parse(s)
	if err != nil {
		c.add(pointer, "%s", err)
	}
	return out
}
