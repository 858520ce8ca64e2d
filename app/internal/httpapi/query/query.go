// Package query reads the query of a request, strictly: its parameters, and the cursors among them.
package query

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bookshelf/app/internal/httpapi/problem"
)

// Table holds the parameters that an operation has, each with what it sets.
type Table[T any] map[string]func(*T, string) error

// eachParameter reads a query into dst and returns every mistake in it, or a 400 when it is no query at all.
func eachParameter[T any](dst *T, known Table[T], raw string) (mistakes []problem.Field, err error) {
	values, err := parseValues(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := known.set(dst, name, values[name]); err != nil {
			mistakes = append(mistakes, problem.Field{Parameter: name, Detail: err.Error()})
		}
	}
	return mistakes, nil
}

// Read reads a query into dst, or returns a 400 with every mistake: it is eachParameter where there is nothing else to complain about.
func Read[T any](dst *T, known Table[T], raw string) error {
	mistakes, err := eachParameter(dst, known, raw)
	if err != nil || len(mistakes) == 0 {
		return err
	}
	return invalidParameters(mistakes)
}

// set applies one parameter, whose values are all those that the query gave under its name.
func (p Table[T]) set(dst *T, name string, values []string) error {
	set, known := p[name]
	switch {
	case !known:
		return fmt.Errorf("is not a parameter here; those are %s", strings.Join(slices.Sorted(maps.Keys(p)), ", "))
	case len(values) > 1:
		return fmt.Errorf("must be given once, is given %d times", len(values))
	case strings.TrimSpace(values[0]) == "": // would be no filter at all
		return errors.New("must not be empty; leave it out")
	}
	return set(dst, values[0])
}

// OneOf reads one of a few words.
func OneOf[T ~string](dst *T, value string, allowed ...T) error {
	if slices.Contains(allowed, T(value)) {
		*dst = T(value)
		return nil
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	return errors.New("must be one of " + strings.Join(words, ", "))
}

// Refuse is for the operations that take no query.
func Refuse(raw string) error {
	if raw == "" {
		return nil
	}
	values, err := parseValues(raw)
	if err != nil {
		return err
	}
	var refused []problem.Field
	for _, name := range slices.Sorted(maps.Keys(values)) {
		refused = append(refused, problem.Field{Parameter: name, Detail: "is not a parameter here; there are none"})
	}
	if len(refused) > 0 {
		return invalidParameters(refused)
	}
	return nil
}

// parseValues differs from URL.Query in telling about what it cannot read; that one drops it in silence.
func parseValues(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &problem.Error{Kind: problem.InvalidParameter, Detail: "The query is not of the form name=value&name=value: " + err.Error() + "."}
	}
	return values, nil
}

func invalidParameters(list []problem.Field) error {
	return &problem.Error{Kind: problem.InvalidParameter, Detail: "The query has the mistakes listed.", Fields: list}
}

func wholeNumber(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}
