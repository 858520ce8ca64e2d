package book

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotFound says that there is no book with the given ID.
var ErrNotFound = errors.New("book not found")

// ErrUnavailable says that the catalogue cannot be reached at the moment; the same request may succeed later.
var ErrUnavailable = errors.New("catalogue unavailable")

// ConflictError says that another book already holds a value that must be unique.
type ConflictError struct {
	Field string // "isbn13"
	Value string // the value both books claim
}

// Error names the field and the value.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("another book already has %s %s", e.Field, e.Value)
}

// Violation is one broken rule.
type Violation struct {
	Pointer string // RFC 6901 JSON pointer to the offending value, such as "/authors/3"
	Detail  string // what is wrong with it, as a sentence fragment: "must not be empty"
}

// InvalidError lists every rule that a draft or a query breaks; it is never empty.
type InvalidError struct {
	Violations []Violation
}

// Error joins all violations in one line.
func (e *InvalidError) Error() string { return "invalid: " + e.Detail() }

// Detail is Error without the prefix: "title: must not be blank; authors/3: …".
func (e *InvalidError) Detail() string {
	parts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		parts[i] = strings.TrimPrefix(v.Pointer, "/") + ": " + v.Detail
	}
	return strings.Join(parts, "; ")
}
