package query

import (
	"errors"
	"slices"
	"strings"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

// defaultLimit is the size of a page when the client names none.
const defaultLimit = 50

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
var listParameters = Table[listQuery]{
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

func (l *listQuery) setSort(value string) error {
	l.sorted = true
	names := make([]string, len(sorts))
	for i, s := range sorts {
		names[i] = s.name
	}
	err := OneOf(&value, value, names...)
	if err == nil {
		l.query.Sort = sorts[slices.Index(names, value)].sort
	}
	return err
}

// List reads the parameters of a list and returns the query in canonical form, or a 400 with every mistake in
// it. Unknown and repeated parameters are mistakes: a misspelt filter would otherwise return every book.
func List(raw string) (book.Query, error) {
	l := listQuery{query: book.Query{Limit: defaultLimit}}
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
		return book.Query{}, invalidParameters([]problem.Field{{Parameter: "cursor", Detail: err.Error()}})
	}
	return query, nil
}

// parameters lists the violations of a query, whose pointers have one segment: the parameter's name.
func parameters(e *book.InvalidError) []problem.Field {
	out := make([]problem.Field, len(e.Violations))
	for i, v := range e.Violations {
		out[i] = problem.Field{Parameter: strings.TrimPrefix(v.Pointer, "/"), Detail: v.Detail}
	}
	return out
}
