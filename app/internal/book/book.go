// Package book is the catalogue's domain: what a book is, which values it may hold, how a list of books is asked for, and
// the kinds of error that storing or finding one can end in. It imports the standard library only, so that every other
// package can depend on it.
package book

import (
	"slices"
	"time"
)

// Book is one stored catalogue entry.
type Book struct {
	ID            int64
	Title         string
	Authors       []string // in the order of the title page, never empty
	ISBN13        string   // 13 digits without hyphens, or "" for none
	PublishedYear *int     // astronomical year (0 is 1 BC, -1 is 2 BC), or nil when it is not known
	Language      string   // an RFC 5646 tag in the recommended case, or "" when it is not known
	Description   string
	Version       int64     // 1 for a new book, one more with every update
	CreatedAt     time.Time // UTC
	UpdatedAt     time.Time // UTC
}

// Draft returns what a client could have said to make b what it is: the start of a change to a part of it.
func (b Book) Draft() Draft {
	return Draft{
		Title:         b.Title,
		Authors:       slices.Clone(b.Authors),
		ISBN:          b.ISBN13,
		PublishedYear: b.PublishedYear,
		Language:      b.Language,
		Description:   b.Description,
	}
}

// Draft is what a client may say about a book: the input of create and replace.
type Draft struct {
	Title         string
	Authors       []string
	ISBN          string // ISBN-10 or ISBN-13, hyphens and spaces allowed; "" for none
	PublishedYear *int
	Language      string
	Description   string
}

// OrNil returns nil for the "" that stands here for what is not known, where others say null.
func OrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
