package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bookshelf/app/internal/book"
)

// DefaultPageLimit is the size of a page when the client names none.
const DefaultPageLimit = 50

// sorts are the values of the sort parameter. The order of the list is that of the documentation and of messages.
var sorts = []struct {
	name string
	sort book.Sort
}{
	{"id", book.Sort{Key: book.ByID}},
	{"-id", book.Sort{Key: book.ByID, Descending: true}},
	{"title", book.Sort{Key: book.ByTitle}},
	{"-title", book.Sort{Key: book.ByTitle, Descending: true}},
	{"year", book.Sort{Key: book.ByYear}},
	{"-year", book.Sort{Key: book.ByYear, Descending: true}},
	{"relevance", book.Sort{Key: book.ByRelevance}},
}

// listQuery is what the parameters of a list say.
type listQuery struct {
	query  book.Query
	sorted bool // by the client's choice
	cursor string
}

// listParameters are the parameters of a list, each with what it sets.
var listParameters = parameterTable[listQuery]{
	"q":             func(l *listQuery, v string) error { l.query.Text = v; return nil },
	"author":        func(l *listQuery, v string) error { l.query.Author = v; return nil },
	"author_prefix": func(l *listQuery, v string) error { l.query.AuthorPrefix = v; return nil },
	"title":         func(l *listQuery, v string) error { l.query.Title = v; return nil },
	"isbn":          func(l *listQuery, v string) error { l.query.ISBN = v; return nil },
	"language":      func(l *listQuery, v string) error { l.query.Language = v; return nil },
	"cursor":        func(l *listQuery, v string) error { l.cursor = v; return nil },
	"limit":         (*listQuery).setLimit,
	"year":          (*listQuery).setYear,
	"sort":          (*listQuery).setSort,
}

func (l *listQuery) setLimit(value string) error {
	n, err := wholeNumber(value)
	if err == nil { // otherwise the default stays, which the rules do not complain about a second time
		l.query.Limit = n
	}
	return err
}

func (l *listQuery) setYear(value string) error {
	n, err := wholeNumber(value)
	if err == nil {
		l.query.Year = &n
	}
	return err
}

func wholeNumber(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}

func (l *listQuery) setSort(value string) error {
	l.sorted = true
	names := make([]string, len(sorts))
	for i, s := range sorts {
		names[i] = s.name
	}
	err := oneOf(&value, value, names...)
	if err == nil {
		l.query.Sort = sorts[slices.Index(names, value)].sort
	}
	return err
}

// parseListQuery reads the parameters of a list and returns the query in canonical form, or a 400 with every mistake in
// it. Unknown and repeated parameters are mistakes: a misspelt filter would otherwise return every book.
func parseListQuery(raw string) (book.Query, error) {
	l := listQuery{query: book.Query{Limit: DefaultPageLimit}}
	mistakes, err := eachParameter(&l, listParameters, raw)
	if err != nil {
		return book.Query{}, err
	}
	if l.query.Text != "" && !l.sorted {
		l.query.Sort.Key = book.ByRelevance
	}
	query, err := l.query.Normalize()
	if invalid, ok := errors.AsType[*book.InvalidError](err); ok {
		mistakes = append(mistakes, parameters(invalid)...)
	}
	if len(mistakes) > 0 {
		return book.Query{}, invalidParameters(mistakes)
	}
	if l.cursor == "" {
		return query, nil
	}
	// The cursor comes last: it is bound to the other parameters, so there is no judging it before they are right.
	if query.After, err = decodeCursor(query, l.cursor); err != nil {
		return book.Query{}, invalidParameters([]fieldError{{Parameter: "cursor", Detail: err.Error()}})
	}
	return query, nil
}

// parameterTable holds the parameters that an operation has, each with what it sets.
type parameterTable[T any] map[string]func(*T, string) error

// eachParameter reads a query into dst and returns every mistake in it, or a 400 when it is no query at all.
func eachParameter[T any](dst *T, known parameterTable[T], raw string) (mistakes []fieldError, err error) {
	values, err := parseValues(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := known.set(dst, name, values[name]); err != nil {
			mistakes = append(mistakes, fieldError{Parameter: name, Detail: err.Error()})
		}
	}
	return mistakes, nil
}

// readParameters is eachParameter where there is nothing else to complain about.
func readParameters[T any](dst *T, known parameterTable[T], raw string) error {
	mistakes, err := eachParameter(dst, known, raw)
	if err != nil || len(mistakes) == 0 {
		return err
	}
	return invalidParameters(mistakes)
}

// set applies one parameter, whose values are all those that the query gave under its name.
func (p parameterTable[T]) set(dst *T, name string, values []string) error {
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

// oneOf reads one of a few words.
func oneOf[T ~string](dst *T, value string, allowed ...T) error {
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

// refuseParameters is for the operations that take no query.
func refuseParameters(raw string) error {
	if raw == "" {
		return nil
	}
	values, err := parseValues(raw)
	if err != nil {
		return err
	}
	var refused []fieldError
	for _, name := range slices.Sorted(maps.Keys(values)) {
		refused = append(refused, fieldError{Parameter: name, Detail: "is not a parameter here; there are none"})
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
		return nil, &apiError{kind: kindInvalidParameter, detail: "The query is not of the form name=value&name=value: " + err.Error() + "."}
	}
	return values, nil
}

func invalidParameters(list []fieldError) error {
	return &apiError{kind: kindInvalidParameter, detail: "The query has the mistakes listed.", errors: list}
}

// nextLink is a Link header (RFC 8288) to the page behind cursor: the same path and query with another cursor.
func nextLink(u *url.URL, cursor string) string {
	values := u.Query()
	values.Set("cursor", cursor)
	return "<" + u.EscapedPath() + "?" + values.Encode() + `>; rel="next"`
}
